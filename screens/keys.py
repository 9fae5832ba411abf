"""The last line: at most six keys, of which the one for help is never cut off."""

from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey


class Keys(Footer):
    """The footer with `?` fixed at the right edge."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def compose(self) -> ComposeResult:
        """Put the key for help at the edge, so that a narrow terminal cuts others first."""
        for key in super().compose():
            if isinstance(key, FooterKey) and key.action == "help":
                key.add_class("-help")
            yield key
