"""One module per verb of `fathom`: `add_arguments(parser)` and `run(arguments) -> exit code`.

The table of verbs is in `fathom_tui.cli`; only the verb that was named is imported.
"""
