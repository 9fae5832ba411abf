"""Ask a GGUF about cases under one prompt: constrained answers for the gates, free ones for use."""

import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.contract import Contract
from fathom_tui.datasets.cases import Case
from fathom_tui.errors import UsageError
from fathom_tui.runner.chat import Prompt, Template
from fathom_tui.runner.llama import Answer, Engine
from fathom_tui.runner.stage import Job, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Answers to a list of cases, in their order."""

    constrained: list[str]
    free: list[str]
    free_valid: int
    """Free answers that meet the contract and ended by themselves."""
    prompt_tokens: int
    """Tokens of the longest prompt."""
    tokens: int
    """Tokens of all constrained answers."""
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {
            "constrained": self.constrained,
            "free": self.free,
            "free_valid": self.free_valid,
            "prompt_tokens": self.prompt_tokens,
        }


class Scorer:
    """A loaded GGUF together with its template and the contract of the answers."""

    def __init__(self, job: Job, gguf: Path) -> None:
        """Load a GGUF for a run.

        Raises:
            UsageError: The contract's longest answer exceeds `max_new_tokens`.
            EnvironmentProblem: llama.cpp or the file cannot be used.
        """
        self._contract: Contract = job.plan.contract
        self._limit = job.plan.max_new_tokens
        self._template = Template(Path(job.results["preflight"]["model_dir"]))
        self._engine = Engine(
            gguf,
            n_ctx=int(job.results["preflight"]["n_ctx"]),
            threads=int(job.results["preflight"]["threads"]),
        )
        self._require_room()

    def _require_room(self) -> None:
        longest = self._contract.longest()
        need = len(self._engine.tokenize(longest, special=False)) + 1  # and the stop token
        if need > self._limit:
            self._engine.close()
            raise UsageError(
                f"An answer such as {longest} takes {need} tokens, max_new_tokens is "
                f"{self._limit}: every answer cut short would count as wrong.",
                fix=f"Set max_new_tokens to {2 * need}.",
            )

    def __enter__(self) -> "Scorer":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def tokenize(self, text: str) -> list[int]:
        """Return the token ids llama.cpp makes of a rendered text."""
        return self._engine.tokenize(text)

    def prompt_tokens(self, prompt: Prompt, text: str) -> list[int]:
        """Return the token ids the model sees for one input."""
        return self._engine.tokenize(self._template.render(prompt.messages(text)))

    def lead(self, prompt: Prompt, case: Case) -> float:
        """Return how far the right answer is ahead, in logits; negative where it is not given."""
        answer = self._engine.tokenize(case.output + self._template.eos)
        return self._engine.lead(self.prompt_tokens(prompt, case.input), answer)

    def ask(
        self,
        prompt: Prompt,
        cases: Sequence[Case],
        report: Report | None = None,
        *,
        note: str = "",
        done: int = 0,
        total: int = 0,
        free: bool = True,
    ) -> Sheet:
        """Answer every case greedily; report progress from `done` of `total`."""
        begun = time.monotonic()
        prompts = [self.prompt_tokens(prompt, case.input) for case in cases]
        given: dict[int, Answer] = {}
        for index, answer in self._engine.answers(
            prompts, self._contract, max_tokens=self._limit, free=free
        ):
            given[index] = answer
            if report is not None and (len(given) % 4 == 0 or len(given) == len(cases)):
                report.progress(done + len(given), total or len(cases), note)
        answers = [given[index] for index in range(len(cases))]
        valid = sum(a.free_stopped and self._contract.parse(a.free) is not None for a in answers)
        return Sheet(
            constrained=[answer.constrained for answer in answers],
            free=[answer.free for answer in answers],
            free_valid=valid,
            prompt_tokens=max((len(tokens) for tokens in prompts), default=0),
            tokens=sum(answer.tokens for answer in answers),
            seconds=time.monotonic() - begun,
        )


def peak_memory_bytes() -> int:
    """Return this process's largest resident size so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cpu_threads() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
