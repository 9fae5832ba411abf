"""The parity check: what GGUFs and servers say to the prompts that transformers was given.

`verify` holds both GGUFs against the reference that `merge` wrote, and `served_parity` holds a
deployed version against what the file itself says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fathom_tui.parity import (
    NEAR_TIE,
    SERVED_TIE,
    Cause,
    Mismatch,
    ParityCase,
    ParityReference,
    Said,
    name_answer,
    name_count,
    name_text,
    name_tokens,
    share,
)
from fathom_tui.runner.chat import Prompt, Template
from fathom_tui.runner.llama import Engine
from fathom_tui.runner.reference import said
from fathom_tui.serving import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How the answers of one form of a model compare with those of the merged weights."""

    compared: int
    agreed: int
    mismatches: tuple[Mismatch, ...]

    @property
    def share(self) -> float | None:
        """Share of equal answers, 0 to 1; None where nothing was compared."""
        return self.agreed / self.compared if self.compared else None

    def to_json(self) -> dict[str, Any]:
        """Return the bare numbers a stage's result holds."""
        return {
            "compared": self.compared,
            "agreed": self.agreed,
            "mismatches": [mismatch.to_json() for mismatch in self.mismatches],
        }


def prompt_mismatch(
    found: ParityReference, template: Template, prompt: Prompt, tokenize: Callable[[str], list[int]]
) -> Mismatch | None:
    """Return the first prompt that is rendered or tokenised in another way, named; or None.

    Args:
        found: What transformers makes of the prompts.
        template: What renders prompts for llama.cpp.
        prompt: The tuned prompt.
        tokenize: llama.cpp's tokenizer, special tokens recognised, none added.
    """
    for case in found.cases:
        ours = template.render(prompt.messages(case.input))
        mismatch = name_text(
            case.id, case.rendered, ours, system=prompt.system, bos=found.bos_text
        ) or name_tokens(
            case.id, case.whole_tokens, tokenize(case.whole), bos=found.bos, eos=found.eos
        )
        if mismatch is not None:
            return mismatch
    return None


def end_mismatch(found: ParityReference, is_end: Callable[[int], bool]) -> Mismatch | None:
    """Return what is wrong with the end of answers in a GGUF; None where it is as in training."""
    if found.eos is None:
        return Mismatch(
            case="all", cause=Cause.EOS_MISSING, detail="the tokenizer has no end token"
        )
    if not is_end(found.eos):
        return Mismatch(
            case="all",
            cause=Cause.EOS_MISSING,
            detail=f"token {found.eos} ends answers in training and does not in llama.cpp",
        )
    return None


def agreement(engine: Engine, found: ParityReference) -> Agreement:
    """Compare a GGUF's greedy answers with those of the merged weights, near ties apart."""
    mismatches = []
    for case in found.asked:
        if case.merged is None:
            continue
        leads = engine.leads(case.tokens, case.merged.tokens)
        if leads.min() < -NEAR_TIE:
            mismatches.append(_departure(engine, case, case.merged, int(leads.argmin())))
    compared = len(found.asked)
    return Agreement(
        compared=compared, agreed=compared - len(mismatches), mismatches=tuple(mismatches)
    )


def _departure(engine: Engine, case: ParityCase, merged: Said, place: int) -> Mismatch:
    at_end = merged.ended and place == len(merged.tokens) - 1
    spoken = engine.text(engine.greedy(case.tokens, max_tokens=len(merged.tokens) + 8))
    return Mismatch(
        case=case.id,
        cause=Cause.EOS_MISSING if at_end else Cause.ANSWER,
        detail=f"merged weights answer {merged.text!r}, the file {spoken!r}",
    )


def with_own_answers(engine: Engine, found: ParityReference, *, limit: int) -> ParityReference:
    """Return the reference with what the file that ships answers: what a server must say, too."""
    cases = list(found.cases)
    for place, case in enumerate(cases):
        if case.merged is None:
            continue
        tokens = list(case.merged.tokens)
        if engine.lead(case.tokens, tokens) < 0:
            tokens = engine.greedy(case.tokens, max_tokens=limit)
        own = said(tokens, [t for t in tokens if engine.is_end(t)], engine.text)
        cases[place] = replace(case, quantised=own, lead=engine.lead(case.tokens, tokens))
    return replace(found, cases=tuple(cases))


def forms_agree(found: ParityReference) -> float | None:
    """Return the share of answers that adapter and merged weights give alike."""
    return share(
        case.adapter.tokens == case.merged.tokens
        for case in found.asked
        if case.adapter is not None and case.merged is not None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedParity:
    """How a deployed version compares with the file it was made from."""

    rendered: bool | None
    """Whether every prompt is rendered as in training; None where the server cannot say."""
    answers: Agreement
    ties: int
    """Answers among those that agree which differ from a near tie on: chance, not a fault."""

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        """What differs, each named."""
        return self.answers.mismatches

    def to_json(self) -> dict[str, Any]:
        """Return the bare numbers a stage's result holds."""
        return {"rendered": self.rendered, **self.answers.to_json(), "ties": self.ties}


class Endpoint(Protocol):
    """What of a serving target is needed to compare with it: see `runner.targets`."""

    def ask(
        self, messages: Sequence[Mapping[str, str]], *, max_tokens: int, version: str | None = None
    ) -> Answer: ...
    def render(self, messages: Sequence[Mapping[str, str]], *, version: str) -> str | None: ...


def served_parity(
    target: Endpoint,
    version: str,
    found: ParityReference,
    messages: Callable[[str], list[dict[str, str]]],
    *,
    max_tokens: int,
) -> ServedParity:
    """Ask a deployed version what the file itself was asked, and name what differs.

    Args:
        target: Where the version is served.
        version: The version; it need not be live where the target can ask others.
        found: What `verify` wrote: `verify/parity.json`.
        messages: Makes the chat that asks about one input.
        max_tokens: Most tokens of an answer.

    Raises:
        CouldNotCheck: The server does not answer.
    """
    mismatches: list[Mismatch] = []
    agreed, compared, known, ties = 0, 0, 0, 0
    for case in found.asked:
        if case.quantised is None:
            continue
        chat = messages(case.input)
        text = target.render(chat, version=version)
        known += text is not None
        system = next((m["content"] for m in chat if m["role"] == "system"), "")
        named = text is not None and name_text(
            case.id, case.rendered, text, system=system, bos=found.bos_text
        )
        answer = target.ask(chat, max_tokens=max_tokens, version=version)
        if not named and answer.prompt_tokens is not None:
            named = name_count(case.id, case.tokens, answer.prompt_tokens, bos=found.bos)
        wrong = name_answer(
            case.id, case.quantised, answer.text, finish_reason=answer.finish_reason
        )
        if wrong and wrong.cause is Cause.ANSWER and not named and _is_near_tie(case):
            ties, wrong = ties + 1, None
        compared += 1
        agreed += wrong is None
        mismatches += [one for one in (named, wrong) if one]
    causes = {mismatch.cause for mismatch in mismatches}
    return ServedParity(
        rendered=None if known < compared else not causes - {Cause.ANSWER, Cause.EOS_MISSING},
        answers=Agreement(compared=compared, agreed=agreed, mismatches=tuple(mismatches)),
        ties=ties,
    )


def _is_near_tie(case: ParityCase) -> bool:
    return case.lead is not None and case.lead < SERVED_TIE
