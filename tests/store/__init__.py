"""Tests of `fathom_tui.store`."""
