"""Everything about a version: its file, its proofs, and how it came to be what it is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.screens.deploy_way import way
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean, size

if TYPE_CHECKING:
    from fathom_tui.check_events import Recorded
    from fathom_tui.releases import Release
    from fathom_tui.screens.deploy_read import Record

_LABEL = 11


def details(row: "Release", record: "Record", symbols: Symbols, width: int) -> list[Content]:
    """Return everything about a version, and how it came to be what it is."""
    found: list[Content] = []
    if row.mismatch:
        mark = symbols.refused if row.is_serious else symbols.warned
        style = "$error" if row.is_serious else "$warning"
        found += wrapped(Content.styled(f"{mark} {clean(row.mismatch)}", style), width, indent=2)
        if row.is_serious:
            found += way("b on the version that should be live sets both right", symbols, width)
    if row.is_idle:
        said = f"{row.version} is live in the ledger; its server is not running."
        said = f"{symbols.warned} {clean(said)}"
        found += wrapped(Content.styled(said, "$warning"), width, indent=2)
        found += way(clean(row.start), symbols, width)
    for label, value in (*_facts(row), *_spec(row, record)):
        entry = Content.assemble((f"{label:<{_LABEL}}", "$muted"), clean(value))
        found += wrapped(entry, width, indent=_LABEL)
    events = [event for event in record.events if event["id"] == row.id]
    found += [Content(""), Content.styled("How it came to this", "bold $accent")]
    return found + [line for event in events for line in _event(event, symbols, width)]


def _facts(row: "Release") -> Iterator[tuple[str, str]]:
    said = f", the server: {row.said.value}" if row.said else ""
    yield "state", f"{row.state.replace('_', ' ')}{said}"
    served = " as ".join(part for part in (row.target, row.alias) if part)
    before = f", after {row.previous}" if row.previous else ""
    for label, value in (
        ("served by", f"{served}{before}"),
        ("at", row.url),
        ("run", row.run),
        ("file", _file(row)),
        ("score", _score(row)),
        ("anchors", _anchors(row)),
        ("sha256", f"{row.sha256[:32]} {row.sha256[32:]}".strip()),
    ):
        if value:
            yield label, value


def _file(row: "Release") -> str:
    facts = row.facts
    parts = [size(facts.bytes)] if facts.bytes is not None else []
    parts += [facts.quantization] if facts.quantization else []
    parts += [f"{facts.bits:.2f} bits per weight in effect"] if facts.bits is not None else []
    return ", ".join(parts)


def _score(row: "Release") -> str:
    facts = row.facts
    if facts.score is None:
        return ""
    interval = (
        f" ({facts.low:.3f} to {facts.high:.3f})"
        if facts.low is not None and facts.high is not None
        else ""
    )
    cases = f", n = {facts.n}" if facts.n is not None else ""
    return f"{facts.score:.3f}{interval}{cases}"


def _anchors(row: "Release") -> str:
    from fathom_tui.screens.health_record import stamp

    check = row.check
    if check is None:
        return "never asked"
    counted = f"{'?' if check.passed is None else check.passed} of {check.total or '?'} pass"
    return f"{check.state}, {counted}, {stamp(check.at) or 'at an unknown time'}"


def _spec(row: "Release", record: "Record") -> Iterator[tuple[str, str]]:
    spec = record.specs.get(row.version)
    if row.version in record.odd_specs:
        yield "spec", record.odd_specs[row.version]
    if spec is not None:
        yield "context", f"{spec.n_ctx} tokens, at most {spec.max_new_tokens} of them answer"
        yield "threads", str(spec.threads)
        if spec.stop:
            yield "stops at", ", ".join(map(repr, spec.stop))
        yield "system", spec.system or "none"
    if row.version not in record.with_anchors and row.is_there:
        yield "kept", "its anchors are not kept, so it cannot prove itself"


def _event(event: "Recorded", symbols: Symbols, width: int) -> list[Content]:
    from fathom_tui.check_events import moment
    from fathom_tui.screens.health_record import stamp

    state = str(event["state"])
    text = Content.assemble(
        (f"{stamp(moment(event.get('at'))) or 'at an unknown time':<22}", "$muted"),
        (clean(state.replace("_", " ")), "bold" if state == "serving" else ""),
    )
    if event.get("reason"):
        text += Content.styled(f"  {clean(event['reason'])}", "$muted")
    return wrapped(text, width, indent=4)
