"""What is wrong with a model, and what to type about it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.screens.health_words import of_condition, of_health, span
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean, plural

if TYPE_CHECKING:
    from fathom_tui.watching import Watched

LLAMA_CPP = "llama-cpp"


def why(row: "Watched", problem: str, symbols: Symbols, width: int) -> list[Content]:
    """Return why a model is in its condition; what could not be done comes first.

    Args:
        row: The model.
        problem: Why a check that was asked for could not be made; blank where it could.
        symbols: What the terminal can show.
        width: Cells of the widest line.
    """
    found: list[Content] = []
    if problem and not any(reason in problem for reason in row.reasons):
        found += _said(symbols.refused, "$error", f"The check could not be made: {problem}", width)
    mark, style = of_health(symbols, row.check.state if row.check is not None else "unknown")
    for reason in row.reasons:
        found += _said(mark, style, reason, width)
    mark, style = of_condition(symbols, row.condition)
    for doubt in doubts(row):
        found += _said(mark, style, doubt, width)
    for note in row.notes:
        found += _said(symbols.pending, "$muted", note, width)
    return found


def doubts(row: "Watched") -> Iterator[str]:
    """Return what the ledger itself says against relying on the last check."""
    deployment = row.deployment or {}
    match row.condition:
        case "no model":
            yield "Nothing is deployed. A run deploys what it accepts."
        case "stopped":
            yield f"{row.version} is {deployment.get('state')}: nobody is served."
        case "created":
            yield f"{row.version} was created and never activated: nobody is served."
        case "not live":
            reason = deployment.get("reason")
            because = f": {reason}" if reason else "."
            yield f"{row.version} {_PAST.get(str(deployment.get('state')), 'is not live')}{because}"
        case "unchecked":
            yield f"{row.version} serves and has not been checked yet."
        case "ok":
            yield from _praise(row)
    if row.is_ahead and row.age_s is not None:
        yield (
            f"The last check is dated {span(row.age_s)} in the future: a clock was or is wrong, "
            "so nobody knows how old it is."
        )
    elif row.is_old and row.age_s is not None:
        yield f"The last check was {span(row.age_s)} ago; once a day is expected."
    elif row.check is not None and row.age_s is None:
        yield "The time of the last check cannot be read, so nobody knows how old it is."


def steps(row: "Watched", symbols: Symbols, width: int) -> list[Content]:
    """Return what to do next, each with what to press or type."""
    entries = list(_steps(row))
    column = max(len(command) for command, _ in entries) + 2
    found: list[Content] = []
    for command, what in entries:
        text = Content.assemble(
            (f"{symbols.then} ", "$accent"), (f"{command:<{column}}", "bold"), (what, "$muted")
        )
        found += wrapped(text, width, indent=4)
    return found


_PAST = {"failed": "failed", "rolled_back": "was rolled back"}


def _praise(row: "Watched") -> Iterator[str]:
    check = row.check
    if check is not None and check.total and check.passed is not None:
        every = check.passed == check.total
        yield f"{'All' if every else f'{check.passed} of'} {check.total} anchors pass."


def _steps(row: "Watched") -> Iterator[tuple[str, str]]:
    slug, deployment = clean(row.slug), row.deployment or {}
    condition, target = row.condition, deployment.get("target")
    if row.is_ahead:
        yield "timedatectl", "is the clock of this machine right?"
    match condition:
        case "no model":
            yield f"fathom run {slug}", "from its data to a served model"
            yield f"fathom deploy {slug}", "serve what a run has accepted"
            return
        case "created" | "stopped" | "not live":
            yield f"fathom deploy {slug}", "serve the last file that a run accepted"
            yield f"fathom versions {slug}", "what is kept, and what the server says"
            return
        case "ok":
            yield "r", "check it now"
            return
    yield "r", "check it now"
    if condition == "critical" and deployment.get("previous"):
        previous = clean(deployment["previous"])
        yield f"fathom rollback {slug}", f"serve {previous}, the version before, again"
    if condition in ("critical", "unknown"):
        if target == LLAMA_CPP:
            yield f"fathom serve {slug} --status", "is the server there?"
        yield f"fathom versions {slug}", "is this what the server says is live?"
    if condition == "stale":
        yield "fathom runner install", "check daily by a timer"


def _said(mark: str, style: str, text: str, width: int) -> list[Content]:
    return wrapped(Content.assemble((f"{mark} ", style), clean(text)), width, indent=2)


def missing(row: "Watched") -> str:
    """Return how many anchors fail, as a title."""
    check = row.check
    if check is None or not row.misses:
        return ""
    of = f" of {check.total}" if check.total else ""
    return plural(len(row.misses), "failing anchor") + of


def none_found(width: int) -> list[Content]:
    """Return what to do where the filter leaves nothing."""
    return wrapped(
        Content.styled("No engagement has these words. escape shows all.", "$muted"), width
    )


def welcome(width: int) -> list[Content]:
    """Return what to do where there is no engagement."""
    paragraphs = (
        Content.styled("Nothing to watch yet", "bold"),
        Content(""),
        Content(
            "Here is how every served model is: whether it still answers the prompts that it "
            "answered when it was accepted, how fast, and whether its answers drift."
        ),
        Content(""),
        Content.assemble(
            "  ", ("1", "bold $accent"), "            make an engagement: press n there"
        ),
        Content.assemble(
            "  ", ("fathom demo", "bold $accent"), "  on the command line: data to served model"
        ),
    )
    return [line for text in paragraphs for line in wrapped(text, width)]
