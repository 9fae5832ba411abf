"""The ladder of quantisations: what each type costs and saves, which one ships, table and plot."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from fathom_tui.divergence import Divergence
from fathom_tui.perplexity import ACCEPTABLE, CONCERNING, EXCELLENT, PerplexityChange
from fathom_tui.recipe import QUANTIZATIONS

REFUSED = "refused"
BANDS = ("excellent", "acceptable", "concerning", REFUSED)
"""Bands of perplexity rise, best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One file of the ladder, measured."""

    type: str
    """`F16`, or one of `QUANTIZATIONS`."""
    bytes: int
    effective_bits: float
    """Bits per weight over the whole file."""
    fallback_tensors: int = 0
    """Tensors that could not be of this type."""
    perplexity: float
    change: PerplexityChange | None
    """Against the 16-bit file; None for that file itself."""
    divergence: Divergence | None
    tokens_per_s: float | None
    """Writing one answer, on the machine that measured; None when it was not measured."""

    @property
    def band(self) -> str | None:
        """Name the band of the rise's upper bound; None for the 16-bit file."""
        return None if self.change is None else self.change.band

    def to_json(self) -> dict[str, Any]:
        """Return the bare numbers a stage's result holds."""
        return {
            "type": self.type,
            "bytes": self.bytes,
            "effective_bits": round(self.effective_bits, 3),
            "fallback_tensors": self.fallback_tensors,
            "perplexity": round(self.perplexity, 4),
            "change": None if self.change is None else self.change.to_json(),
            "divergence": None if self.divergence is None else self.divergence.to_json(),
            "tokens_per_s": None if self.tokens_per_s is None else round(self.tokens_per_s, 1),
            "band": self.band,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        change, divergence, pace = data["change"], data["divergence"], data["tokens_per_s"]
        return cls(
            type=str(data["type"]),
            bytes=int(data["bytes"]),
            effective_bits=float(data["effective_bits"]),
            fallback_tensors=int(data["fallback_tensors"]),
            perplexity=float(data["perplexity"]),
            change=None if change is None else PerplexityChange.from_json(change),
            divergence=None if divergence is None else Divergence.from_json(divergence),
            tokens_per_s=None if pace is None else float(pace),
        )


def upwards(wanted: str) -> tuple[str, ...]:
    """Return the types to try in turn: the one wanted, then each that keeps more.

    Raises:
        ValueError: There is no such type.
    """
    return QUANTIZATIONS[QUANTIZATIONS.index(wanted) :]


def chosen(rungs: Sequence[Rung], wanted: str) -> Rung | None:
    """Return the file that ships: the first, from the type wanted upwards, that is not refused.

    Types that were not measured are passed over; None where every one is refused.
    """
    by_type = {rung.type: rung for rung in rungs}
    climbing = (by_type[name] for name in upwards(wanted) if name in by_type)
    return next((rung for rung in climbing if rung.band != REFUSED), None)


HEADINGS = (
    "type", "size", "bits", "perplexity", "rise", "95 % of rise", "KLD", "same top", "tokens/s",
    "band",
)  # fmt: skip


def cells(rung: Rung, *, mark: str = "") -> tuple[str, ...]:
    """Return one row of the table, in the order of `HEADINGS`; `mark` follows the type's name."""
    change, divergence = rung.change, rung.divergence
    return (
        f"{rung.type}{mark}",
        megabytes(rung.bytes),
        f"{rung.effective_bits:.2f}",
        f"{rung.perplexity:.3f}",
        "" if change is None else f"{change.rise:+.1%}",
        "" if change is None else f"{change.low:+.1%} to {change.high:+.1%}",
        "" if divergence is None else f"{divergence.mean:.4f}",
        "" if divergence is None else f"{divergence.same_top:.1%}",
        "" if rung.tokens_per_s is None else f"{rung.tokens_per_s:.0f}",
        rung.band or "",
    )


def table(rungs: Sequence[Rung], ships: str | None) -> str:
    """Return the ladder as lines of plain text; the file that ships is marked with an arrow."""
    rows = [HEADINGS, *(cells(rung, mark=" ←" if rung.type == ships else "") for rung in rungs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, len(HEADINGS) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def remarks(rungs: Sequence[Rung]) -> tuple[str, ...]:
    """Return what the numbers of a ladder do not say by themselves."""
    fell = [
        rung.type for rung in rungs if rung.change is not None and rung.change.high < -EXCELLENT
    ]
    found = []
    if fell:
        found.append(
            f"Perplexity falls by more than 5 % for {', '.join(fell)}: rounding that happens to "
            "suit this text, not a better model. KLD and same top say how far it is from f16."
        )
    return tuple(found)


def megabytes(size: int) -> str:
    """Return a size as people compare files: 105 MB, 4.92 GB."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def height(rise: float, *, most: float) -> float:
    """Return where a rise stands on an axis whose four bands are equally long, 0 to 4.

    Rises span three decades and may be below zero: a plain axis shows the worst file only.

    Args:
        rise: Of perplexity, as a fraction.
        most: The largest rise on the picture; the last band ends there.
    """
    edges = [0.0, EXCELLENT, ACCEPTABLE, CONCERNING, max(most, 2 * CONCERNING)]
    rise = min(max(rise, 0.0), edges[-1])
    band = next(n for n in range(4) if rise <= edges[n + 1])
    return band + (rise - edges[band]) / (edges[band + 1] - edges[band])


BAND_RANGES = ("< 5 %", "5–15 %", "15–30 %", "> 30 %")
_NAME, _SIZE, _BAND, _PACE = 8, 10, 8, 8
"""Columns of the plot's parts; the axis of the rise has four bands."""


def plot(rungs: Sequence[Rung], ships: str | None) -> str:
    """Return the trade in plain characters, 78 columns: size, rise with its interval, tokens/s.

    Args:
        rungs: Measured files; bars are relative to the largest and the fastest.
        ships: Type of the file that ships, or None; its point is filled.
    """
    largest = max((rung.bytes for rung in rungs), default=1)
    fastest = max((rung.tokens_per_s or 0.0 for rung in rungs), default=0.0)
    most = max((rung.change.high for rung in rungs if rung.change), default=0.0)
    axis = "│".join(f"{name:^{_BAND - 1}}" for name in BAND_RANGES)
    lines = [
        f"{'':{_NAME}}{'size':{_SIZE + 9}}{'rise of perplexity, 95 %':^{4 * _BAND}}  tokens/s",
        f"{'':{_NAME + _SIZE + 9}}{axis}",
    ]
    for rung in rungs:
        size = f"{_bar(rung.bytes / largest, _SIZE)} {megabytes(rung.bytes):<8}"
        lines.append(
            f"{rung.type:{_NAME}}{size}{_whisker(rung, most, rung.type == ships)}  "
            f"{_pace(rung, fastest)}".rstrip()
        )
    return "\n".join(lines)


def _bar(share: float, width: int) -> str:
    return ("█" * max(1, round(share * width))).ljust(width)


def _pace(rung: Rung, fastest: float) -> str:
    if rung.tokens_per_s is None or not fastest:
        return ""
    return f"{_bar(rung.tokens_per_s / fastest, _PACE)} {rung.tokens_per_s:.0f}"


def _whisker(rung: Rung, most: float, ships: bool) -> str:
    """Draw the interval of the rise over its bands."""
    line = [" "] * (4 * _BAND)
    for edge in range(1, 4):
        line[edge * _BAND - 1] = "│"
    if rung.change is not None:
        low, middle, high = (
            min(4 * _BAND - 1, math.floor(height(rise, most=most) * _BAND))
            for rise in (rung.change.low, rung.change.rise, rung.change.high)
        )
        line[low : high + 1] = "─" * (high + 1 - low)
        line[middle] = "●" if ships else "○"
    return "".join(line)
