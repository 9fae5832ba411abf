"""Tests of `fathom_tui.sources`."""
