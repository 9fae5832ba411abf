"""The comparison as lines: each way's score with its interval drawn to scale, and what it cost.

Reads what `evaluate` reported; a key that is missing leaves out what it would have said.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from textual.content import Content

from fathom_tui.runs import RunView
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean, size

WAYS = {
    "untuned": "untuned",
    "prompt": "best prompt",
    "nearest_shots": "nearest examples",
    "plain_code": "plain code",
    "tuned": "tuned",
    "quantised": "tuned, quantised",
}
"""Names of the ways to answer, in the order they are shown."""
_OURS = ("tuned", "quantised")
_LABEL = 16
_NUMBERS = 5 + 1 + 11
_SCALE = 12
"""Least cells for intervals to be drawn."""

Json = Mapping[str, Any]


def lines(view: RunView, symbols: Symbols, width: int) -> list[Content]:
    """Return the comparison of a run; nothing before `evaluate` has ended."""
    result = view.result
    scores = _scores(result)
    if not scores:
        return []
    target = _number(result.get("target"))
    # Where it fits on a line, the headline above has it.
    verdict = wrapped(said(result, symbols), width, indent=2)
    found = verdict if len(verdict) > 1 else []
    columns = _Columns(scores, width)
    found.append(columns.title())
    found += [columns.row(way, scores[way], target, symbols) for way in scores]
    for fact in _facts(view, target, scores):
        found += wrapped(Content.styled(fact, "$muted"), width, indent=2)
    return found


def said(result: Json, symbols: Symbols) -> Content:
    """Return the verdict's own words, marked as the gates judged it."""
    marks = {
        "pass": (f"{symbols.done} ", "$success"),
        "warn": (f"{symbols.warned} ", "$warning"),
        "refuse": (f"{symbols.refused} ", "$error"),
    }
    text = clean(result.get("headline") or result.get("verdict") or "")
    return Content.assemble(marks.get(str(result.get("verdict")), ("", "")), (text, "bold"))


def _scores(result: Json) -> dict[str, Json]:
    listed = result.get("scores")
    listed = dict(listed) if isinstance(listed, Mapping) else {}
    for way in ("plain_code", "nearest_shots"):
        if way not in listed and isinstance(result.get(way), Mapping):
            listed[way] = result[way]
    known = [way for way in WAYS if way in listed]
    others = [way for way in listed if way not in WAYS]
    return {
        way: listed[way]
        for way in (*known, *others)
        if isinstance(listed[way], Mapping) and _number(listed[way]) is not None
    }


def _number(value: object) -> float | None:
    if isinstance(value, Mapping):
        value = value.get("value")
    return float(value) if isinstance(value, int | float) else None


class _Columns:
    """Which columns fit, and how wide the scale may be."""

    def __init__(self, scores: Mapping[str, Json], width: int) -> None:
        self._parts = list(dict.fromkeys(p for row in scores.values() for p in _parts(row)))
        if len(self._parts) < 2:
            self._parts = []  # one part is the score itself
        self._widths = {part: max(5, min(10, len(part))) for part in self._parts}
        room = width - _LABEL - _NUMBERS - 2
        needed = sum(self._widths.values()) + 2 * len(self._parts)
        if room < needed + 2:
            self._parts, needed = [], 0
        scale = min(40, room - needed - 2)
        self._scale = scale if scale >= _SCALE else 0

    def title(self) -> Content:
        """Return the line above the rows."""
        axis = f"  0{'1':>{self._scale - 1}}" if self._scale else ""
        parts = "".join(f"  {clean(p)[: self._widths[p]]:>{self._widths[p]}}" for p in self._parts)
        return Content.styled(f"{'':<{_LABEL}}  {'score':>5} {'95 %':>11}{axis}{parts}", "$muted")

    def row(self, way: str, row: Json, target: float | None, symbols: Symbols) -> Content:
        """Return one way's line."""
        value = _number(row) or 0.0
        low, high = row.get("low"), row.get("high")
        interval = f"{low:.2f}{symbols.until}{high:.2f}" if _are_numbers(low, high) else ""
        style = "bold" if way in _OURS else ""
        return Content.assemble(
            (f"{clean(WAYS.get(way, way))[:_LABEL]:<{_LABEL}}", style),
            "  ",
            (f"{value:5.3f}", style),
            (f" {interval:>11}", "$muted"),
            self._drawn(value, low, high, target, symbols, "$accent" if way in _OURS else ""),
            *(self._part(part, row) for part in self._parts),
        )

    def _drawn(
        self,
        value: float,
        low: object,
        high: object,
        target: float | None,
        symbols: Symbols,
        style: str,
    ) -> Content:
        if not self._scale:
            return Content("")
        cells = [(" ", "")] * self._scale
        if _are_numbers(low, high):
            first, last = self._cell(low), self._cell(high)
            cells[first : last + 1] = [(symbols.full, style or "$muted")] * (last - first + 1)
        if target is not None:
            at = self._cell(target)
            cells[at] = (symbols.target, "$warning") if cells[at][0] == " " else cells[at]
        cells[self._cell(value)] = (symbols.points, style)
        return Content.assemble("  ", *cells)

    def _cell(self, value: Any) -> int:
        return round(min(1.0, max(0.0, float(value))) * (self._scale - 1))

    def _part(self, part: str, row: Json) -> tuple[str, str]:
        width = self._widths[part]
        value = _parts(row).get(part)
        text = f"{value:.2f}" if isinstance(value, int | float) else ""
        return f"  {text:>{width}}", "$muted"


def _parts(row: Json) -> Json:
    parts = row.get("parts")
    return parts if isinstance(parts, Mapping) else {}


def _are_numbers(*values: object) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _facts(view: RunView, target: float | None, scores: Mapping[str, Json]) -> Iterator[str]:
    first = scores.get("quantised") or next(iter(scores.values()))
    about = [f"n = {first['n']:,}"] if isinstance(first.get("n"), int) else []
    if target is not None:
        about.append(f"target {target:.3f}")
    about += _files(view)
    yield "   ".join(about)
    quality = [*_perplexity(view.stages["verify"].result), *_anchors(view)]
    if quality:
        yield "   ".join(quality)


def _files(view: RunView) -> Sequence[str]:
    result = view.stages["quantize"].result
    f16, quantised = result.get("f16_bytes"), result.get("bytes")
    if not _are_numbers(f16, quantised):
        return ()
    bits = result.get("effective_bits")
    effective = f", {bits:.2f} bits/weight" if _are_numbers(bits) else ""
    return (f"{size(f16 or 0)} to {size(quantised or 0)}{effective}",)


def _perplexity(result: Json) -> Sequence[str]:
    found = result.get("perplexity")
    if not isinstance(found, Mapping) or not _are_numbers(found.get("f16"), found.get("quantised")):
        return ()
    f16, quantised = float(found["f16"]), float(found["quantised"])
    change = f" ({quantised / f16 - 1:+.1%})" if f16 else ""
    return (f"perplexity {f16:.2f} to {quantised:.2f}{change}",)


def _anchors(view: RunView) -> Sequence[str]:
    result = view.stages["anchors"].result
    passed, total = result.get("passed"), result.get("total")
    return (f"anchors {passed} of {total} passed",) if _are_numbers(passed, total) else ()
