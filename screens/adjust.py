"""The panel of inputs: sliders, and what the one under the cursor means."""

from collections.abc import Iterator

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from fathom_tui.errors import UsageError
from fathom_tui.screens.masthead import Place
from fathom_tui.screens.slider import Number, Sliders
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean


class Adjust(Vertical):
    """Sliders above what is said of them: a hint, how what is typed is read, or what is wrong."""

    def __init__(
        self, symbols: Symbols, places: tuple[Place, ...], *, id: str, classes: str = ""
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._symbols = symbols
        self._places = {place.key: place for place in places}

    def compose(self) -> ComposeResult:
        """Lay out the sliders above what is said."""
        yield Sliders(self._symbols, id="sliders")
        yield Static("", id="hint", markup=False)

    @property
    def sliders(self) -> Sliders:
        """The inputs."""
        return self.query_one(Sliders)

    @on(Sliders.Moved)
    def explain(self) -> None:
        """Say what the input means and what the keys do, or how the text is understood."""
        sliders = self.sliders
        sliders.redraw()
        entry, typed = sliders.entry, sliders.typed
        if isinstance(entry, Number) and typed:
            said = Content("\n").join(self._reading(entry, typed))
        elif entry is not None:
            said = Content.assemble(entry.hint, "\n", (entry.keys, "$muted"))
        else:
            return
        # Its place is fixed: laying out the whole screen anew would cost 40 ms.
        self.query_one("#hint", Static).update(said, layout=False)

    def _reading(self, entry: Number, typed: str) -> Iterator[Content]:
        try:
            value = entry.read(typed)
        except UsageError as error:
            yield Content.styled(f"{self._symbols.refused} {clean(error.message)}", "$error")
            yield Content(clean(error.fix))
            return
        yield Content.assemble("enter sets ", (entry.shown(value), "bold"), "   escape leaves")
        place = self._places.get(typed)
        if place is not None:
            where = f" goes to {place.key} {place.title} instead"
            yield Content.assemble(("tab", "$accent"), where)

    @on(Sliders.Passed)
    async def passed(self, event: Sliders.Passed) -> None:
        """Go to another screen where a digit alone was typed, else set the value."""
        place = self._places.get(event.typed)
        if place is None:
            self.sliders.commit()
        else:
            await self.run_action(f"app.show({place.mode!r})")
