"""Fathom's colours: dark water, one accent; a state's colour always comes with its symbol."""

from textual.theme import Theme

ACCENT = "#5cc8dc"
MUTED = "#8795a8"
RULE = "#2b3847"

FATHOM = Theme(
    name="fathom",
    primary=ACCENT,
    secondary="#8ea8c3",
    accent=ACCENT,
    success="#7fd19a",
    warning="#e8b75c",
    error="#f57f7f",
    foreground="#dbe3ec",
    background="#0b1118",
    surface="#0b1118",
    panel="#131c27",
    boost="#131c27",
    dark=True,
    variables={
        "muted": MUTED,
        "rule": RULE,
        "block-cursor-background": "#1d3a47",
        "block-cursor-foreground": "#f2f7fb",
        "block-cursor-text-style": "bold",
        "footer-background": "#131c27",
        "footer-key-foreground": ACCENT,
        "footer-description-foreground": "#c3cedb",
        "input-selection-background": "#5cc8dc 30%",
        "scrollbar": "#2b3847",
        "scrollbar-hover": "#3a4b5e",
        "scrollbar-active": ACCENT,
        "scrollbar-background": "#0b1118",
        "scrollbar-background-hover": "#0b1118",
        "scrollbar-background-active": "#0b1118",
        "scrollbar-corner-color": "#0b1118",
    },
)

OWN_VARIABLES = {"muted": "ansi_default 60%", "rule": "ansi_bright_black"}
"""What our styles need and other themes do not define."""
