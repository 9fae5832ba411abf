"""The app: which screens there are, what the keys mean everywhere, and how one leaves."""

import gc
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from fathom_tui.screens.agent import Agent
from fathom_tui.screens.departure import leave_on_signals
from fathom_tui.screens.masthead import Place
from fathom_tui.screens.symbols import symbols_for
from fathom_tui.screens.theme import FATHOM, OWN_VARIABLES
from fathom_tui.screens.words import clean
from fathom_tui.store.paths import Home

if TYPE_CHECKING:
    from fathom_tui.store.ledger import Store


def _engagements() -> Screen[None]:
    from fathom_tui.screens.engagements import EngagementsScreen

    return EngagementsScreen()


def _runs() -> Screen[None]:
    from fathom_tui.screens.runs import RunsScreen

    return RunsScreen()


def _advise() -> Screen[None]:
    from fathom_tui.screens.advise import AdviseScreen

    return AdviseScreen()


def _hardware() -> Screen[None]:
    from fathom_tui.screens.hardware import HardwareScreen

    return HardwareScreen()


def _models() -> Screen[None]:
    from fathom_tui.screens.models import ModelsScreen

    return ModelsScreen()


def _errata() -> Screen[None]:
    from fathom_tui.screens.errata import ErrataScreen

    return ErrataScreen()


def _health() -> Screen[None]:
    from fathom_tui.screens.health import HealthScreen

    return HealthScreen()


def _deploy() -> Screen[None]:
    from fathom_tui.screens.deploy import DeployScreen

    return DeployScreen()


PLACES = (
    Place("engagements", "1", "Engagements", "Eng"),
    Place("runs", "2", "Runs", "Runs"),
    Place("advise", "3", "Advise", "Adv"),
    Place("hardware", "4", "Hardware", "HW"),
    Place("models", "5", "Models", "Mod"),
    Place("errata", "6", "Errata", "Err"),
    Place("health", "7", "Health", "Health"),
    Place("deploy", "8", "Deploy", "Deploy"),
)
"""The screens there are; a new one is a line here and one in MODES."""


PATIENCE_S = 3.0
"""Longest wait for the ledger; a screen asks again soon, and leaving waits for who waits."""


def _now() -> datetime:
    return datetime.now(UTC)


class FathomApp(App[None]):
    """Fathom in a terminal: a view of what is on disk. Work is done by the agent.

    Args:
        home: Where everything lives.
        open_run: The run to show first; None shows the engagements.
        agent: Whom to ask for runs; the agent of this home if None.
        now: The clock, in UTC.
    """

    TITLE = "Fathom"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "engagements": _engagements,
        "runs": _runs,
        "advise": _advise,
        "hardware": _hardware,
        "models": _models,
        "errata": _errata,
        "health": _health,
        "deploy": _deploy,
    }
    DEFAULT_MODE = "engagements"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(place.key, f"show({place.mode!r})", place.title, show=False) for place in PLACES),
        Binding("q", "quit", "Quit", tooltip="Leave; what runs goes on in the background"),
        Binding("question_mark,f1", "help", "Help", key_display="?", tooltip="All keys"),
    ]

    def __init__(
        self,
        home: Home,
        *,
        open_run: str | None = None,
        agent: Agent | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.home = home
        self.agent = agent or Agent(home)
        self.now = now
        self.symbols = symbols_for(os.environ)
        self.places = PLACES
        self.open_run = open_run
        """The run that the Runs screen should show next; it takes it from here."""
        self.heartbeat: Mapping[str, Any] | None = None
        self.noted: set[str] = set()
        """Notes of the ledger that were shown."""
        self.errands: dict[int, str] = {}
        """What is done by commands of their own, which go on when the screens are left."""
        if open_run is not None:
            # Textual reads it from the instance when it starts.
            self.DEFAULT_MODE = "runs"  # type: ignore[misc]
        # The first screen's styles at once: those that come later are parsed with all others.
        super().__init__(
            css_path=[f"../assets/styles/{name}.tcss" for name in ("app", self.DEFAULT_MODE)]
        )
        self.register_theme(FATHOM)
        self.theme = FATHOM.name

    @cached_property
    def store(self) -> "Store":
        """The ledger; loaded by the first look, after the first frame."""
        from fathom_tui.store.ledger import Store

        return Store(self.home, timeout_s=PATIENCE_S)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return our own variables for themes that do not have them."""
        return OWN_VARIABLES

    def on_mount(self) -> None:
        """Take care of signals; a test without a terminal has none of its own to handle."""
        if not self.is_headless:
            leave_on_signals(self.exit)

    def on_ready(self) -> None:
        """Look for garbage from now on; `open_screens` spared the start of it."""
        gc.enable()

    def action_show(self, mode: str) -> None:
        """Show one of the screens; not from inside a dialog."""
        if len(self.screen_stack) == 1:
            self.switch_mode(mode)

    def show_run(self, run_id: str) -> None:
        """Show a run on the Runs screen."""
        self.open_run = run_id
        self.switch_mode("runs")

    def action_help(self) -> None:
        """Show every key that works here."""
        from fathom_tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen, self.symbols))

    async def action_quit(self) -> None:
        """Leave; says what goes on without the screens."""
        run = (self.heartbeat or {}).get("run")
        goes_on = [*([str(run)] if run else []), *self.errands.values()]
        said = [f"{clean(what)} goes on in the background." for what in goes_on]
        self.exit(message=" ".join([*said, "Look again with: fathom"]) if said else None)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Return Textual's own commands and everything that has a key."""
        for command in super().get_system_commands(screen):
            if command.title not in _OURS_INSTEAD:
                yield command
        seen = {"quit", "command_palette", "screen.copy_text"}
        for node, binding, enabled, tooltip in screen.active_bindings.values():
            if enabled and node in (self, screen) and binding.action not in seen:
                seen.add(binding.action)
                if not binding.system and binding.description:
                    key = self.get_key_display(binding)
                    yield SystemCommand(
                        binding.description,
                        f"{tooltip or binding.description} ({key})",
                        _runner(self, node, binding.action),
                    )


_OURS_INSTEAD = ("Keys", "Maximize", "Minimize")
"""Textual's commands for what `?` and `z` do here."""


def _runner(app: App[Any], node: Any, action: str) -> Callable[[], None]:
    def run() -> None:
        app.call_later(app.run_action, action, node)

    return run
