"""Whether what is asked lately still looks like what the model was evaluated on."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from fathom_tui.anchors import AnchorSet
from fathom_tui.drift import FEWEST, LEVEL, SEED, Drift, input_drift
from fathom_tui.errors import FathomError
from fathom_tui.health import Finding, HealthState
from fathom_tui.runner.targets import Target
from fathom_tui.store.live import evaluation_inputs
from fathom_tui.store.paths import Home

MOST = 250
"""Texts of each side that are embedded, drawn at random from more: 60 messages of 12 tokens took
5 s on two busy cores (SmolLM2-135M), so both sides in full take two thirds of a minute."""


LONGEST = 16_384
"""Characters of a text that are looked at: more than the 512 tokens that are embedded have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What the comparison came to."""

    drift: Drift | None
    """None where it could not be made."""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


def compare(home: Home, target: Target, anchors: AnchorSet, recent: Sequence[str]) -> Compared:
    """Compare recent inputs with those of the anchors and of the evaluation set, where it is there.

    Nothing of the texts or of their vectors is kept. What keeps the comparison from being made is
    a finding of its own; that there are too few, as after a quiet day, is a note.
    """
    try:
        evaluated = evaluation_inputs(home, anchors.run)
        notes = () if evaluated is not None else (_gone(anchors),)
        reference = [*(anchor.input for anchor in anchors.anchors), *(evaluated or ())]
        sides = [_drawn(reference), _drawn(recent)]
        if min(map(len, sides)) < FEWEST:
            counted = f"recent ones: {len(sides[1])}, others: {len(sides[0])}"
            few = f"Recent inputs were not compared: {counted}, needed: {FEWEST} of each."
            return Compared(drift=None, findings=(), notes=(*notes, few))
        vectors = target.embed([text for side in sides for text in side])
        if vectors is None:
            return _unknown(f"{target.name} gives no embeddings", notes)
        drift = input_drift(vectors[: len(sides[0])], vectors[len(sides[0]) :])
    except FathomError as error:
        return _unknown(error.message)
    except ValueError as error:
        return _unknown(str(error))
    return Compared(drift=drift, findings=(_finding(drift),), notes=notes)


def _drawn(texts: Sequence[str]) -> list[str]:
    # Half a character, as JSON may have it, is one that nobody can read; it has no tokens.
    cut = (text[:LONGEST].encode("utf-8", "replace").decode() for text in texts)
    found = [text for text in cut if text.strip()]
    return found if len(found) <= MOST else random.Random(SEED).sample(found, MOST)


def _finding(drift: Drift) -> Finding:
    test = (
        f"energy coefficient {drift.statistic:.3f}, permutation test of {drift.n_recent} against "
        f"{drift.n_reference} inputs, p = {drift.p_value:.4f}"
    )
    if drift.found:
        text = f"Recent inputs are not those the model was evaluated on ({test})."
        return Finding(state=HealthState.WARNING, text=text)
    text = f"Recent inputs look like those of the evaluation ({test}; drift from {LEVEL})."
    return Finding(state=HealthState.OK, text=text)


def _gone(anchors: AnchorSet) -> str:
    return (
        f"The evaluation set of {anchors.run} is gone, so inputs are compared with those of the "
        f"{len(anchors.anchors)} anchors alone: only a large change shows."
    )


def _unknown(why: str, notes: tuple[str, ...] = ()) -> Compared:
    text = f"Recent inputs could not be compared: {why.rstrip('.')}."
    return Compared(
        drift=None, findings=(Finding(state=HealthState.UNKNOWN, text=text),), notes=notes
    )
