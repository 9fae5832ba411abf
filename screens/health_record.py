"""What the ledger keeps around a model's checks: its deployment, its alerts, what people said."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from textual.content import Content

from fathom_tui.screens.health_words import age, of_health
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean, plural

if TYPE_CHECKING:
    from fathom_tui.check_events import Check
    from fathom_tui.watching import Watched

Event = Mapping[str, Any]

ALERTS = 5
"""Alerts that are shown, the newest first."""
_LABEL = 11
_SHORT = 16
"""Characters of a digest where there is no room for all: enough to tell files apart."""
_STATES = ("ok", "warning", "critical", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is read only for the model that is looked at."""

    slug: str
    checks: "Sequence[Check]"
    """More of them than the list knows, in the order they were made."""
    alerts: Sequence[Event]
    """Of this engagement, oldest first."""
    feedback: Sequence[Event]
    facts: Mapping[str, Any]
    """The latest value of each key."""


def alerts(record: Record, now: datetime, symbols: Symbols, width: int) -> list[Content]:
    """Return the newest alerts and whom they reached."""
    found = []
    for event in reversed(record.alerts[-ALERTS:]):
        found += wrapped(_alert(event, now, symbols), width, indent=_LABEL + 2)
    more = len(record.alerts) - ALERTS
    if more > 0:
        found.append(Content.styled(f"  {plural(more, 'older one')}", "$muted"))
    if not found:
        found = [Content.styled("none was sent", "$muted")]
    return found


def facts(row: "Watched", record: Record | None, width: int) -> list[Content]:
    """Return the facts of a model's deployment as lines."""
    found: list[Content] = []
    for label, text in (*_deployment(row), *(_kept(record) if record else ())):
        if label == "sha256" and len(text) > width - _LABEL:
            text = f"{text[:_SHORT]}..."
        entry = Content.styled(f"{label:<{_LABEL}}", "$muted") + Content(clean(text))
        found += wrapped(entry, width, indent=_LABEL)
    return found


def stamp(moment: datetime | None) -> str:
    """Return a time as one reads it: 21 Nov 2026 09:30 UTC; blank for none."""
    return f"{moment.day} {moment:%b %Y %H:%M} UTC" if moment is not None else ""


def _deployment(row: "Watched") -> Iterator[tuple[str, str]]:
    deployment = row.deployment
    if deployment is None:
        return
    state = str(deployment.get("state", "")).replace("_", " ")
    yield "version", f"{row.version}, {state} since {stamp(row.since) or 'an unknown time'}"
    if deployment.get("previous"):
        yield "before it", str(deployment["previous"])
    served = " as ".join(
        str(deployment[name]) for name in ("target", "alias") if deployment.get(name)
    )
    if served:
        yield "served by", served
    for label, name in (("at", "url"), ("run", "run"), ("sha256", "sha256")):
        if deployment.get(name):
            yield label, str(deployment[name])
    if row.check is not None:
        needed = f"{100 * row.threshold:g} % must pass"
        yield "checked", f"{stamp(row.check.at) or 'at an unknown time'}; {needed}"
    drift = row.drift
    if drift is not None:
        yield "drift", _drift(row)


def _drift(row: "Watched") -> str:
    drift = row.drift
    assert drift is not None
    parts = [f"of {drift.kind}" if drift.kind else "", ""]
    said = {True: "yes", False: "no", None: "unknown"}[drift.found]
    if drift.p_value is not None:
        parts[1] = f"p = {drift.p_value:.3g}"
    if drift.n_recent is not None and drift.n_reference is not None:
        parts.append(f"{drift.n_recent} against {drift.n_reference}")
    return ", ".join(part for part in (said, *parts) if part)


def _kept(record: Record) -> Iterator[tuple[str, str]]:
    hooks = []
    if record.facts.get("alert_command"):
        hooks.append(f"the command {record.facts['alert_command']}")
    if record.facts.get("alert_webhook"):
        hooks.append(f"the webhook at {_host(str(record.facts['alert_webhook']))}")
    tell = f"nobody; to tell somebody: fathom health {record.slug} --on-alert COMMAND --keep"
    yield "alerts to", " and ".join(hooks) or tell
    verdicts = [str(event.get("verdict")) for event in record.feedback]
    if verdicts:
        yield "feedback", f"{verdicts.count('good')} good, {verdicts.count('bad')} bad"
    if record.facts.get("retention_until"):
        yield "data until", str(record.facts["retention_until"])


def _host(url: str) -> str:
    """Return where a webhook goes; the rest of its address is a secret."""
    try:
        return urlsplit(url).hostname or "an odd address"
    except ValueError:
        return "an odd address"


def _alert(event: Event, now: datetime, symbols: Symbols) -> Content:
    from fathom_tui.check_events import moment
    from fathom_tui.watching import AHEAD_S

    at = moment(event.get("at"))
    old = age((now - at).total_seconds() if at else None, AHEAD_S)
    state = str(event.get("state"))
    mark, style = of_health(symbols, state if state in _STATES else "unknown")
    before = clean(event.get("before") or "?")
    return Content.assemble(
        (f"{mark} ", style),
        (f"{old:<{_LABEL}}", "$muted"),
        (f"{before} {symbols.then} {clean(state)}", ""),
        *_deliveries(event, symbols),
    )


def _deliveries(event: Event, symbols: Symbols) -> Iterator[tuple[str, str]]:
    delivered = event.get("delivered")
    hooks = delivered if isinstance(delivered, list | tuple) else ()
    if not hooks:
        yield "   sent to nobody", "$muted"
    for hook in hooks:
        if isinstance(hook, Mapping):
            sent = hook.get("ok") is True
            detail = f" ({clean(hook['detail'])})" if hook.get("detail") and not sent else ""
            mark = symbols.done if sent else symbols.refused
            yield f"   {clean(hook.get('hook', '?'))} {mark}{detail}", "" if sent else "$error"
