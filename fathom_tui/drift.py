"""Whether answers and inputs are still what they were: permutation tests, and repetition.

A fixed cut on a distance says nothing: the distance between two samples of one source grows with
their spread and shrinks with their size. Every test here compares the distance found with what it
would be if the samples had been dealt out by chance, so the alarm rate is the level of the test.

numpy is loaded by the test on embeddings alone; a health check without one starts sooner.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.01
"""A p-value at or below this is drift. Our policy: a daily look at a service that does not change
is wrong about four times a year."""
SEED = 20260401
"""Of every permutation: the same samples give the same p-value."""
PERMUTATIONS = 1_999
"""With the sample itself they make 2,000, so the smallest p-value is 0.0005."""
FEWEST = 10
"""Rows that each side of a test on embeddings needs: of 10 and 10 there are 184,756 divisions."""
_EXACT = 12
"""Differences up to which all signs are tried: 4,096 of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What a test found."""

    kind: str
    """`lengths` or `inputs`."""
    statistic: float
    """`lengths`: mean difference in characters, recent minus before. `inputs`: energy coefficient,
    0 where both samples are alike, 1 where each is one point."""
    p_value: float
    """Share of divisions by chance that differ at least as much, the one seen included."""
    n_reference: int
    n_recent: int

    @property
    def found(self) -> bool:
        """Whether chance explains it no more."""
        return self.p_value <= LEVEL

    def to_json(self) -> dict[str, Any]:
        """Return the test as it stands in a check."""
        return {
            "kind": self.kind,
            "statistic": round(self.statistic, 6),
            "p_value": round(self.p_value, 6),
            "n_reference": self.n_reference,
            "n_recent": self.n_recent,
        }


def length_shift(before: Sequence[int], now: Sequence[int]) -> Drift:
    """Test whether answers became longer or shorter.

    The same anchors are asked in the same order each time, so their differences are compared, sign
    by sign; of two sets that differ in size the mean is compared over divisions of the pooled rows.

    Args:
        before: Characters of each answer at deployment, in the anchors' order.
        now: Characters of each answer today.

    Raises:
        ValueError: One of them is empty.

    Source: sign-flip and two-sample permutation tests as in Good, Permutation, Parametric and
    Bootstrap Tests of Hypotheses, chapter 3; (b + 1) / (n + 1) as in Phipson & Smyth 2010.
    """
    if not before or not now:
        raise ValueError(f"{len(before)} lengths before, {len(now)} now")
    if len(before) == len(now):
        p_value = _sign_flips([b - a for a, b in zip(before, now, strict=True)])
    else:
        p_value = _pooled_means(before, now)
    return Drift(
        kind="lengths",
        statistic=sum(now) / len(now) - sum(before) / len(before),
        p_value=p_value,
        n_reference=len(before),
        n_recent=len(now),
    )


def _sign_flips(differences: Sequence[int]) -> float:
    """Return the two-sided p-value of paired differences; those of zero say nothing."""
    changed = [abs(d) for d in differences if d]
    found = abs(sum(differences))
    if len(changed) <= _EXACT:
        signs = itertools.product((1, -1), repeat=len(changed))
        sums = [abs(sum(map(int.__mul__, row, changed))) for row in signs]
        return sum(total >= found for total in sums) / len(sums)
    rng = random.Random(SEED)
    reached = 0
    for _ in range(PERMUTATIONS):
        bits = rng.getrandbits(len(changed))
        total = sum(d if bits >> i & 1 else -d for i, d in enumerate(changed))
        reached += abs(total) >= found
    return (reached + 1) / (PERMUTATIONS + 1)


def _pooled_means(before: Sequence[int], now: Sequence[int]) -> float:
    pooled, size, total = [*before, *now], len(now), sum(before) + sum(now)
    rng = random.Random(SEED)

    def gap(part: int) -> int:
        # Times both sizes: whole numbers, so that a tie is a tie.
        return abs(part * len(before) - (total - part) * size)

    found = gap(sum(now))
    reached = sum(gap(sum(rng.sample(pooled, size))) >= found for _ in range(PERMUTATIONS))
    return (reached + 1) / (PERMUTATIONS + 1)


def input_drift(reference: Sequence[Sequence[float]], recent: Sequence[Sequence[float]]) -> Drift:
    """Test whether two sets of embedded texts come from one source.

    The energy distance is compared with that of random divisions of the pooled rows. It needs no
    bandwidth and notices a change of spread as well as of place. Rows count as independent: of
    many messages of one conversation keep one.

    Args:
        reference: Shape (n, d): the evaluation set's inputs.
        recent: Shape (m, d): what was asked lately.

    Raises:
        ValueError: A side has fewer than `FEWEST` rows, the widths differ, or a number is not
            finite.

    Source: Székely & Rizzo 2013, Energy statistics, section 6; (b + 1) / (n + 1) as in Phipson &
    Smyth 2010.
    """
    import numpy as np

    first, second = np.asarray(reference, np.float64), np.asarray(recent, np.float64)
    _check_shapes(first, second)
    distances = _distances(np.vstack([first, second]))
    n, m = len(first), len(second)
    # (1 + permutations, n + m): a row's weights add up to 1 over one side and to -1 over the other.
    weights = np.repeat([1.0 / n, -1.0 / m], [n, m])
    dealt = np.random.default_rng(SEED).permuted(np.tile(weights, (PERMUTATIONS, 1)), axis=1)
    rows = np.vstack([weights, dealt])
    energy = -np.einsum("ij,ij->i", rows @ distances, rows)
    # A permutation that only renames rows of one side must count as equal.
    reached = int((energy[1:] >= energy[0] - 1e-12 * max(1.0, float(distances.max()))).sum())
    between = float(distances[:n, n:].mean())
    return Drift(
        kind="inputs",
        statistic=max(0.0, float(energy[0])) / (2 * between) if between else 0.0,
        p_value=(reached + 1) / (PERMUTATIONS + 1),
        n_reference=n,
        n_recent=m,
    )


def _check_shapes(first: "NDArray[np.float64]", second: "NDArray[np.float64]") -> None:
    import numpy as np

    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"embeddings of the shapes {first.shape} and {second.shape}")
    if min(len(first), len(second)) < FEWEST:
        raise ValueError(f"{len(first)} and {len(second)} rows; each side needs {FEWEST}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("an embedding has numbers that are not finite")


def _distances(rows: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return all Euclidean distances, shape (n, n), without an (n, n, d) array."""
    import numpy as np

    rows = rows - rows.mean(axis=0)  # smaller numbers: less is lost in the difference below
    squares = np.einsum("ij,ij->i", rows, rows)
    between = squares[:, None] + squares[None, :] - 2 * (rows @ rows.T)
    np.fill_diagonal(between, 0.0)
    found: NDArray[np.float64] = np.sqrt(np.maximum(between, 0.0))
    return found


# Degenerate output. Our policy, set so that no class name or JSON object of a contract trips it:
# Ollama's own guard (v0.33.0-rc2, llm/llama_server.go, tokenRepeat) waits for 30 equal tokens,
# more than most anchors may answer at all.
_WORDS, _WORD_TIMES = 8, 5
"""A phrase of up to so many words, so many times in a row."""
_LINES, _LINE_TIMES = 4, 4
_CHARACTERS, _CHARACTER_TIMES, _CHARACTER_LENGTH = 16, 6, 24
"""Up to so many characters, so many times in a row, and at least so long together: for languages
without spaces and for runs such as `!!!!!!`."""
_LOOKED_AT = 8_000
"""Characters at an answer's end that are looked at: a loop never ends by itself."""
_SHOWN = 40


def repetition(text: str) -> str | None:
    """Return the piece that an answer repeats over and over; None where it does not."""
    text = text[-_LOOKED_AT:]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for pieces, longest, times, least, joint in (
        (lines, _LINES, _LINE_TIMES, 0, "\n"),
        (text.split(), _WORDS, _WORD_TIMES, 0, " "),
        (text.strip(), _CHARACTERS, _CHARACTER_TIMES, _CHARACTER_LENGTH, ""),
    ):
        found = _loop(pieces, longest, times, least)
        if found is not None:
            return joint.join(found)[:_SHOWN]
    return None


def _loop(pieces: Sequence[str], longest: int, times: int, least: int) -> Sequence[str] | None:
    """Return the unit of the first run of at least `times` repeats and `least` pieces."""
    for period in range(1, longest + 1):
        needed = max(times * period, least) - period
        run = 0
        for at in range(period, len(pieces)):
            run = run + 1 if pieces[at] == pieces[at - period] else 0
            if run >= max(needed, 1):
                begin = at - run - period + 1
                return pieces[begin : begin + period]
    return None
