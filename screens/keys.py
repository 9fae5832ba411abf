"""The last line: at most six keys, of which the one for help is never cut off."""

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer
from textual.widgets._footer import FooterKey


class Keys(Footer):
    """The footer with `?` fixed at the right edge.

    Textual's own makes its keys anew whenever the focus moves, five times before the first
    frame; this one only when they differ from those that are shown.
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self.set_reactive(Footer._bindings_ready, True)
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Put the key for help at the edge, so that a narrow terminal cuts others first."""
        self._shown = _shown(self.screen)
        for key in super().compose():
            if isinstance(key, FooterKey) and key.action == "help":
                key.add_class("-help")
            yield key

    def bindings_changed(self, screen: Screen[object]) -> None:
        """Make the keys anew if there are others, or others are greyed out."""
        if screen is self.screen and _shown(screen) != self._shown:
            super().bindings_changed(screen)


def _shown(screen: Screen[object]) -> tuple[object, ...]:
    return tuple(
        (binding.key, binding.description, enabled)
        for _, binding, enabled, _ in screen.active_bindings.values()
        if binding.show
    )
