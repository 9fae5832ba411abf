"""How the units of this machine stand: agent, servers, the daily check."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from textual.content import Content

from fathom_tui.screens.deploy_way import no_answer, way
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean, plural

if TYPE_CHECKING:
    from fathom_tui.screens.deploy_asked import Answered

_ACTIVE = {
    "active": ("done", "$success"),
    "activating": ("running", "$accent"),
    "reloading": ("running", "$accent"),
    "deactivating": ("running", "$accent"),
    "failed": ("refused", "$error"),
    "inactive": ("stopped", "$muted"),
}


def units(
    answer: "Answered | None", slug: str, symbols: Symbols, width: int, *, asking: bool
) -> list[Content]:
    """Return how the units of this machine stand, those of the engagement first."""
    if answer is None or (answer.problem and asking):
        return [Content.styled(f"{symbols.running} asking the service manager ...", "$muted")]
    if answer.problem:
        return no_answer(answer, symbols, width)
    found: list[Content] = []
    for scope in ("user", "system"):
        told = answer.data.get(scope)
        if isinstance(told, Mapping) and ("units" in told or told.get("units_problem")):
            found += [Content("")] if found else []
            found += _scope(scope, told, slug, symbols, width)
    return found or _no_units(symbols, width)


def _no_units(symbols: Symbols, width: int) -> list[Content]:
    text = Content.styled(
        "No units of Fathom are installed here: what serves ends with a reboot, and nobody asks "
        "the anchors by day.", "$warning",
    )  # fmt: skip
    return [
        *wrapped(text, width),
        *way("fathom runner install", symbols, width),
        *way("fathom runner install --dry-run shows them first", symbols, width),
    ]


def _scope(
    scope: str, told: Mapping[str, Any], slug: str, symbols: Symbols, width: int
) -> list[Content]:
    title = {"user": "units of your own", "system": "units of the system"}[scope]
    found = [Content.styled(title, "bold $accent")]
    if told.get("units_problem"):
        said = clean(" ".join(str(told["units_problem"]).split()))
        found += wrapped(Content.styled(f"? {said}", "$warning"), width, indent=2)
    rows = [unit for unit in told.get("units") or () if isinstance(unit, Mapping)]
    for unit in sorted(rows, key=lambda unit: slug not in str(unit.get("name"))):
        found += _unit(unit, symbols, width)
    if scope == "user" and told.get("lingers") is False:
        found += wrapped(
            Content.styled("They end with your last session and do not start at boot.", "$warning"),
            width,
        )
        found += way("sudo loginctl enable-linger", symbols, width)
    return found


def _unit(unit: Mapping[str, Any], symbols: Symbols, width: int) -> list[Content]:
    state = str(unit.get("active") or "unknown")
    name, style = _ACTIVE.get(state, ("warned", "$warning"))
    parts = [state]
    if state == "failed" and unit.get("result"):
        parts.append(f"{unit['result']} {unit.get('exit_code', '')}".strip())
    if unit.get("status"):
        parts.append(str(unit["status"]))
    if unit.get("restarts"):
        parts.append(plural(int(unit["restarts"]), "restart"))
    if str(unit.get("name", "")).endswith(".timer"):
        parts += [f"last {_when(unit.get('last_run'))}", f"next {_when(unit.get('next_run'))}"]
    elif unit.get("enabled") == "disabled":
        parts.append("does not start at boot")
    text = Content.assemble(
        (f"{getattr(symbols, name)} ", style),
        (clean(unit.get("name", "?")), "bold" if style == "$error" else ""),
        (f"  {clean(', '.join(parts))}", style if style == "$error" else "$muted"),
    )
    return wrapped(text, width, indent=2)


def _when(seconds: object) -> str:
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        return "never"
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%d %b %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "?"
