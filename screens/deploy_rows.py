"""Engagements and their versions as rows, and the two lines above them."""

from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.screens.deploy_words import of_accord, of_said, of_version
from fathom_tui.screens.grid import Column, Row
from fathom_tui.screens.health_words import age
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean, clock, size

if TYPE_CHECKING:
    from fathom_tui.releases import Release, Standing
    from fathom_tui.screens.deploy_actions import Action
    from fathom_tui.screens.deploy_read import Entry

ENTRY_COLUMNS = (
    Column(width=1),
    Column(title="engagement", cut="middle"),
    Column(title="live", width=4, align="right"),
)
VERSION_COLUMNS = (
    Column(width=1),
    Column(title="ver", width=4),
    Column(title="ledger", width=11),
    Column(title="server", width=11),
    Column(title="anchors", width=7, align="right"),
    Column(title="since", width=6, align="right", from_width=46),
    Column(title="score", width=5, align="right", wide=(110, 18), from_width=54),
    Column(title="size", width=6, align="right", from_width=62),
    Column(title="quant", width=7, from_width=76),
    Column(title="run", cut="middle", from_width=92),
)
_WIDE = 110
"""Cells of the table from which on a score shows its interval."""


def entry_row(entry: "Entry", symbols: Symbols, *, busy: bool, accord: str) -> Row:
    """Return the row of an engagement.

    Args:
        entry: The engagement.
        symbols: What the terminal can show.
        busy: Whether something is being done to it.
        accord: An `Accord`, as far as its server was asked since the screen was opened.
    """
    mark, style = of_accord(symbols, accord, is_live=bool(entry.live))
    if busy:
        mark, style = symbols.running, "$accent"
    cells = (
        Content.styled(mark, style),
        Content(clean(entry.slug)),
        Content.styled(clean(entry.live) or "-", "" if entry.live else "$muted"),
    )
    return Row(key=entry.slug, cells=cells)


def version_row(
    row: "Release", symbols: Symbols, now: datetime, width: int, *, asking: bool
) -> Row:
    """Return the row of a version.

    Args:
        row: The version.
        symbols: What the terminal can show.
        now: UTC.
        width: Cells of the table.
        asking: Whether its server is being asked.
    """
    mark, style = of_version(symbols, row)
    said, said_style = of_said(row)
    facts = row.facts
    loud = "bold" if row.is_live or row.said == "live" else ""
    cells = (
        Content.styled(mark, style),
        Content.styled(clean(row.version), loud),
        Content.styled(clean(row.state.replace("_", " ")), "$success" if row.is_live else "$muted"),
        Content.styled("asking", "$muted") if asking and not said else Content.styled(
            said or "-", said_style
        ),
        _anchors(row),
        Content.styled(_since(row, now), "$muted"),
        _score(row, symbols, width),
        Content.styled(size(facts.bytes) if facts.bytes is not None else "", "$muted"),
        Content.styled(clean(facts.quantization), "$muted"),
        Content.styled(clean(row.run), "$muted"),
    )  # fmt: skip
    return Row(key=row.version, cells=cells)


def _anchors(row: "Release") -> Content:
    check = row.check
    if check is None or check.total is None:
        return Content.styled("-", "$muted")
    passed = "?" if check.passed is None else str(check.passed)
    style = "" if check.state == "ok" else _HEALTH[check.state]
    return Content.styled(f"{passed}/{check.total}", style)


_NAME = 28
"""Cells of a name in the line above the panels."""
_HEALTH = {"ok": "", "warning": "$warning", "critical": "$error", "unknown": "$secondary"}


def _since(row: "Release", now: datetime) -> str:
    from fathom_tui.watching import AHEAD_S

    old = age((now - row.since).total_seconds() if row.since else None, AHEAD_S)
    return {"in future": "ahead"}.get(old, old)


def _score(row: "Release", symbols: Symbols, width: int) -> Content:
    facts = row.facts
    if facts.score is None:
        return Content("")
    text = f"{facts.score:.3f}"
    if width >= _WIDE and facts.low is not None and facts.high is not None:
        return Content.assemble(
            text, (f" ({facts.low:.2f}{symbols.until}{facts.high:.2f})", "$muted")
        )
    return Content(text)


def headline(slug: str, found: "Standing", symbols: Symbols, width: int) -> Content:
    """Return what is live, in a line.

    Args:
        slug: The engagement.
        found: What is live, and whether all agree.
        symbols: What the terminal can show.
        width: Cells of the line.
    """
    current = found.live
    mark, style = of_accord(symbols, found.accord, is_live=current is not None)
    name = Content.styled(clean(slug), "bold").truncate(_NAME, ellipsis=True)
    line = Content.assemble((f"{mark} ", style), name, "  ", (_what(found), f"{style} bold"))
    if current is not None and found.accord not in ("differ", "stopped"):
        line += Content.assemble(("  on ", "$muted"), clean(current.target or "?"))
        line += Content("   ") + _agreement(found.accord)
        if current.check is not None:
            line += Content("   ") + _anchors(current) + Content(" anchors")
    return line.truncate(width, ellipsis=True)


def _what(found: "Standing") -> str:
    ledger = clean(found.live.version) if found.live is not None else ""
    if found.accord == "stopped":
        return f"{ledger} is live in the ledger; its server is not running"
    if found.accord != "differ":
        return f"{ledger} is live" if ledger else "nothing is live"
    served = clean(found.serving.version) if found.serving is not None else "none of these"
    return f"live in the ledger: {ledger or 'none'}   on the server: {served}"


def _agreement(accord: str) -> Content:
    words = {
        "agree": ("the server agrees", "$muted"),
        "not reached": ("says the ledger; the server was not reached", "$warning"),
        "not asked": ("says the ledger", "$muted"),
    }
    return Content.styled(*words[accord])


def second_line(
    found: "Standing",
    action: "Action | None",
    problem: tuple[str, str],
    next_step: Content,
    asked: str,
    symbols: Symbols,
    width: int,
) -> Content:
    """Return what goes on, else what is wrong, else what could be done.

    Args:
        found: What is live, and in what ledger and server differ.
        action: What is being done to the engagement; None while nothing is.
        problem: Why the server's versions are not known, and the way out; empty where they are.
        next_step: What could be done; empty where all is well.
        asked: When the server was asked, in words.
        symbols: What the terminal can show.
        width: Cells of the line.
    """
    if action is not None:
        last = f"  {clean(action.lines[-1])}" if action.lines else ""
        line = Content.assemble(
            (f"{symbols.running} ", "$accent"), (clean(action.doing), "$accent bold"),
            (f"  {clock(action.elapsed_s)}", "$accent"), (last, "$muted"),
        )  # fmt: skip
    elif problem[0]:
        way = f" {symbols.then} {clean(problem[1])}" if problem[1] else ""
        line = Content.styled(f"  {clean(problem[0])}{way}", "$warning")
    elif found.accord == "differ":
        line = Content.assemble(
            (f"  {symbols.then} ", "$accent"), ("b", "$accent bold"),
            (" on the version that should be live sets both right", "$muted"),
        )  # fmt: skip
    elif found.accord == "stopped" and found.live is not None:
        line = Content.assemble(
            (f"  {symbols.then} ", "$accent"), (clean(found.live.start), "bold"),
        )  # fmt: skip
    elif found.reasons:
        more = f" (and {len(found.reasons) - 1} more)" if len(found.reasons) > 1 else ""
        line = Content.styled(f"  {clean(found.reasons[0])}{more}", "$warning")
    else:
        line = next_step
    right = Content.styled(asked, "$muted")
    room = width - line.cell_length
    if room > right.cell_length + 1:
        line += right.pad_left(room - right.cell_length)
    return line.truncate(width, ellipsis=True)


def next_step(found: "Standing", undeployed: str, symbols: Symbols) -> Content:
    """Return what could be done now: go back from a version that fails, or deploy a new one.

    Args:
        found: What is live.
        undeployed: Run that was accepted and does not serve; empty where there is none.
        symbols: What the terminal can show.
    """
    live = found.live
    if live is not None and live.previous and live.check and live.check.state == "critical":
        return Content.assemble(
            (f"  {symbols.then} ", "$accent"), (f"{live.version} fails its anchors: ", "$muted"),
            ("b", "$accent bold"), (f" on {clean(live.previous)} goes back to it", "$muted"),
        )  # fmt: skip
    if undeployed:
        return Content.assemble(
            (f"  {symbols.then} ", "$accent"), clean(undeployed),
            (" was accepted and is not live: ", "$muted"), ("d", "$accent bold"),
            (" deploys it", "$muted"),
        )  # fmt: skip
    return Content("")
