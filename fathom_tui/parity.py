"""Parity: the same prompts give the same tokens, the same end and the same answers everywhere.

What differs is named by its cause, because each has another cure: the chat template, a BOS put in
twice, an end token that is lost, a default system text slipped in, or the tokenizer itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

AGREE = 0.85
"""Least share of answers that two 16-bit forms of one model give alike. Our policy: they add up in
another order, which flips near ties only, so one of eight may."""
QUANTISED_AGREE = 0.5
"""Share of answers below which a quantised file is warned of. Our policy: its weights differ, and
its scores decide; half of the answers changed is worth a look all the same."""
NEAR_TIE = 0.25
"""Lead of another token, in logits, up to which an answer still counts as the same. Measured on
SmolLM2-135M: float32 in transformers and f16 in llama.cpp move a lead by at most 0.12."""

SERVED_TIE = 0.6
"""Lead, in logits, below which a server of the same quantised file may answer otherwise: how far
batch layout alone moves it (measured in Q4_K_M, whose activations are rounded to 8 bit)."""


class Cause(StrEnum):
    """Why two renderings or two answers of one chat differ."""

    TEMPLATE = "template"
    BOS_TWICE = "BOS twice"
    BOS_ADDED = "BOS added"
    BOS_MISSING = "BOS missing"
    EOS_MISSING = "EOS missing"
    SYSTEM_INSERTED = "default system text inserted"
    SYSTEM_LOST = "system text lost"
    TOKENIZER = "tokenizer"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One difference with its name."""

    case: str
    """The case that shows it."""
    cause: Cause
    detail: str
    """What differs, with the values."""

    def __str__(self) -> str:
        return f"{self.cause.value} (case {self.case}): {self.detail}"

    def to_json(self) -> dict[str, str]:
        return {"case": self.case, "cause": self.cause.value, "detail": self.detail}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One greedy answer as tokens."""

    tokens: tuple[int, ...]
    """With the end token where the model ended."""
    text: str
    """Without it."""
    ended: bool
    """Whether the model ended by itself."""

    def to_json(self) -> dict[str, Any]:
        return {"tokens": list(self.tokens), "text": self.text, "ended": self.ended}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            tokens=tuple(int(token) for token in data["tokens"]),
            text=str(data["text"]),
            ended=bool(data["ended"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityCase:
    """One prompt as transformers renders, tokenises and answers it."""

    id: str
    input: str
    rendered: str
    """The prompt, up to where the answer begins."""
    whole: str
    """The prompt with the expected answer and the end token: what training saw."""
    tokens: tuple[int, ...]
    """Ids of `rendered`."""
    whole_tokens: tuple[int, ...]
    """Ids of `whole`."""
    adapter: Said | None = None
    """What base + adapter answer; None where it was not asked."""
    merged: Said | None = None
    """What the merged 16-bit weights answer; None where they were not asked."""
    quantised: Said | None = None
    """What the file that ships answers; None where it was not asked."""
    lead: float | None = None
    """Least lead of a token of that answer over every other, in logits: how near a tie it is."""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "input": self.input,
            "rendered": self.rendered,
            "whole": self.whole,
            "tokens": list(self.tokens),
            "whole_tokens": list(self.whole_tokens),
            "adapter": self.adapter and self.adapter.to_json(),
            "merged": self.merged and self.merged.to_json(),
            "quantised": self.quantised and self.quantised.to_json(),
            "lead": self.lead,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        said = {name: data[name] for name in ("adapter", "merged", "quantised")}
        return cls(
            id=str(data["id"]),
            input=str(data["input"]),
            rendered=str(data["rendered"]),
            whole=str(data["whole"]),
            tokens=tuple(int(token) for token in data["tokens"]),
            whole_tokens=tuple(int(token) for token in data["whole_tokens"]),
            lead=None if data["lead"] is None else float(data["lead"]),
            **{name: Said.from_json(one) if one else None for name, one in said.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReference:
    """What transformers makes of a run's prompts; everything after it is compared with this."""

    bos: int | None
    bos_text: str
    """Empty where the model has no begin token."""
    ends: tuple[int, ...]
    """Ids that end an answer; the first is the tokenizer's own, which training put there."""
    cases: tuple[ParityCase, ...]

    @property
    def eos(self) -> int | None:
        """Id of the end token; None where the model has none."""
        return self.ends[0] if self.ends else None

    @property
    def asked(self) -> tuple[ParityCase, ...]:
        """The cases that were answered as well."""
        return tuple(case for case in self.cases if case.merged is not None)

    def to_json(self) -> dict[str, Any]:
        """Return the reference as it stands in its file."""
        return {
            "bos": self.bos,
            "bos_text": self.bos_text,
            "ends": list(self.ends),
            "cases": [case.to_json() for case in self.cases],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a reference.

        Raises:
            KeyError, TypeError, ValueError: It is not one.
        """
        return cls(
            bos=None if data["bos"] is None else int(data["bos"]),
            bos_text=str(data["bos_text"]),
            ends=tuple(int(token) for token in data["ends"]),
            cases=tuple(ParityCase.from_json(case) for case in data["cases"]),
        )


def name_text(case: str, expected: str, found: str, *, system: str, bos: str) -> Mismatch | None:
    """Name what makes two renderings of one chat differ; None where they are equal.

    Args:
        case: The case, for the report.
        expected: The prompt as the model was trained on it.
        found: The prompt as another engine or a server renders it.
        system: The system text of the chat.
        bos: Text of the begin token; empty where the model has none.
    """
    if expected == found:
        return None
    put_before = found.removesuffix(expected)
    if bos and put_before and not put_before.replace(bos, ""):
        cause = Cause.BOS_TWICE if expected.startswith(bos) else Cause.BOS_ADDED
        return Mismatch(case=case, cause=cause, detail=f"{found[:60]!r} begins the prompt")
    if bos and expected == bos + found:
        return Mismatch(case=case, cause=Cause.BOS_MISSING, detail=f"{expected[:60]!r} was trained")
    start = _alike(expected, found)
    end = _alike(expected[start:][::-1], found[start:][::-1])
    lost, put = expected[start : len(expected) - end], found[start : len(found) - end]
    detail = f"at character {start}: trained {_short(lost)}, found {_short(put)}"
    if system and system in expected and system not in found:
        cause = (
            Cause.SYSTEM_INSERTED if "system" in found[: start + len(put)] else (Cause.SYSTEM_LOST)
        )
        return Mismatch(case=case, cause=cause, detail=detail)
    if not lost.strip() and "system" in put:
        return Mismatch(case=case, cause=Cause.SYSTEM_INSERTED, detail=detail)
    return Mismatch(case=case, cause=Cause.TEMPLATE, detail=detail)


def name_tokens(
    case: str, expected: Sequence[int], found: Sequence[int], *, bos: int | None, eos: int | None
) -> Mismatch | None:
    """Name what makes two token sequences of one text differ; None where they are equal.

    Args:
        case: The case, for the report.
        expected: What transformers makes of the text.
        found: What another engine makes of it.
        bos: Id of the begin token; None where the model has none.
        eos: Id of the end token; None where the model has none.
    """
    wanted, got = list(expected), list(found)
    if wanted == got:
        return None
    at = _alike(wanted, got)
    detail = f"at position {at}: transformers {wanted[at : at + 4]}, found {got[at : at + 4]}"
    cause = Cause.TOKENIZER
    if bos is not None and got == [bos, *wanted]:
        cause = Cause.BOS_TWICE if wanted[:1] == [bos] else Cause.BOS_ADDED
    elif bos is not None and wanted == [bos, *got]:
        cause = Cause.BOS_MISSING
    elif eos is not None and wanted[-1:] == [eos] and eos not in got[at:]:
        cause = Cause.EOS_MISSING
    return Mismatch(case=case, cause=cause, detail=detail)


def name_count(
    case: str, expected: Sequence[int], found: int, *, bos: int | None
) -> Mismatch | None:
    """Name what a server's count of prompt tokens gives away; None where it is the right one.

    One token too many is a BOS: twice where the trained prompt begins with one.
    """
    if found == len(expected):
        return None
    cause = Cause.TEMPLATE
    if found == len(expected) + 1:
        begins = bos is not None and list(expected[:1]) == [bos]
        cause = Cause.BOS_TWICE if begins else Cause.BOS_ADDED
    elif found == len(expected) - 1 and bos is not None and list(expected[:1]) == [bos]:
        cause = Cause.BOS_MISSING
    detail = f"the server counts {found} prompt tokens, training saw {len(expected)}"
    return Mismatch(case=case, cause=cause, detail=detail)


def name_answer(case: str, expected: Said, found: str, *, finish_reason: str) -> Mismatch | None:
    """Name how an answer departs from the expected one; None where it is the same.

    Args:
        case: The case, for the report.
        expected: What the file itself says.
        found: What was answered elsewhere.
        finish_reason: `stop` where it ended by itself.
    """
    same = found.strip() == expected.text.strip()
    if expected.ended and finish_reason != "stop":
        begun = found.strip().startswith(expected.text.strip())
        if begun:
            detail = f"the answer goes on after its end ({finish_reason}): {_short(found)}"
            return Mismatch(case=case, cause=Cause.EOS_MISSING, detail=detail)
    if same or (not expected.ended and found.startswith(expected.text)):
        return None
    detail = f"expected {_short(expected.text)}, answered {_short(found)}"
    return Mismatch(case=case, cause=Cause.ANSWER, detail=detail)


def share(found: Iterable[bool]) -> float | None:
    """Return the share that agrees, 0 to 1; None where nothing was compared."""
    values = list(found)
    return sum(values) / len(values) if values else None


def _alike(one: Sequence[Any], other: Sequence[Any]) -> int:
    limit = min(len(one), len(other))
    return next((n for n in range(limit) if one[n] != other[n]), limit)


def _short(text: str, limit: int = 80) -> str:
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
