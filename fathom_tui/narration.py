"""A journal's events as lines that people read."""

from collections.abc import Callable, Mapping
from typing import Any

from fathom_tui.events import Event
from fathom_tui.figures import Figure

Data = Mapping[str, Any]


def tell(event: Event) -> str:
    """Return one event as text; may span lines where a message does. Times are UTC."""
    words = _TELLERS.get(event.kind, _unknown)(event.data)
    when = event.at[:19].replace("T", " ")
    return f"{when}  {event.data.get('stage', ''):<9}  {words or event.kind}"


def _created(data: Data) -> str:
    by = data.get("created_by")
    return f"run {data['run']} of {data['engagement']}" + (f", asked for by {by}" if by else "")


def _attempt(data: Data) -> str:
    return f"attempt {data['number']}, agent {data.get('pid', 'unknown')}"


def _stage_started(data: Data) -> str:
    expected = data.get("expected_seconds")
    return "started" + (f", about {expected:.0f} s" if expected else "")


def _progress(data: Data) -> str:
    total = data.get("total")
    position = f"{data.get('done', 0):g} of {total:g}" if total else ""
    return " ".join(filter(None, (position, data.get("note", ""))))


def _metric(data: Data) -> str:
    names = [name for name in data if name not in ("stage", "step", "epoch")]
    return f"step {data['step']}  " + "  ".join(f"{name} {_number(data[name])}" for name in names)


def _measured(data: Data) -> str:
    return f"{data['name']}: {Figure.from_json(data['figure'])}"


def _gate(data: Data) -> str:
    gate = data["gate"]
    line = f"{gate['outcome']} {gate['name']}: {gate['reason']}"
    return f"{line} → {gate['fix']}" if gate.get("fix") else line


def _artifact(data: Data) -> str:
    return f"{data['name']}: {data['path']}, {data['bytes']:,} bytes, sha256 {data['sha256'][:12]}…"


def _note(data: Data) -> str:
    return str(data["text"])


def _stage_finished(data: Data) -> str:
    return f"{data['state']} after {data['seconds']:.1f} s{_error(data)}"


def _stage_kept(data: Data) -> str:
    return "kept: done before with the same settings"


def _run_finished(data: Data) -> str:
    return f"run {data['state']} after {data['seconds']:.1f} s{_error(data)}"


def _error(data: Data) -> str:
    error = data.get("error") or {}
    parts = [error.get("message", ""), error.get("fix", "")]
    return "".join(f"\n    {part}" for part in parts if part)


def _unknown(data: Data) -> str:
    return ""


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


_TELLERS: Mapping[str, Callable[[Data], str]] = {
    "run_created": _created,
    "attempt": _attempt,
    "stage_started": _stage_started,
    "progress": _progress,
    "metric": _metric,
    "measured": _measured,
    "gate": _gate,
    "artifact": _artifact,
    "note": _note,
    "stage_finished": _stage_finished,
    "stage_kept": _stage_kept,
    "run_finished": _run_finished,
}
