"""The texts of a run that files read: held-out rows to judge by, training rows to tune by."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fathom_tui.datasets.cases import Case, read_split
from fathom_tui.perplexity import LEAST_CHUNKS
from fathom_tui.runner.chat import Prompt, Template, training_row
from fathom_tui.runner.stage import Job

_SEPARATOR = "\n\n"
CONTEXTS = (512, 256, 128, 64)
"""Chunk lengths in tokens, best first: the longest that gives enough chunks is taken."""
_ENOUGH = CONTEXTS[1] * LEAST_CHUNKS
"""Tokens below which spare rows fill up the validation text."""


def splits(job: Job) -> tuple[list[Case], list[Case]]:
    """Return the validation cases and the spare rows; the test split stays unread."""
    folder = job.run_dir / "data"
    return read_split(folder / "validation.jsonl"), read_split(folder / "reserve.jsonl")


def held_out_text(
    validation: Sequence[Case], reserve: Sequence[Case], count: Callable[[str], int]
) -> tuple[str, int]:
    """Return the text that perplexity is measured on, and the tokens of a chunk.

    All validation cases; from the rows that no split holds, as many as short validation text
    lacks for enough chunks of a good length.
    """
    pieces = [f"{case.input}\n{case.output}" for case in validation]
    missing = _ENOUGH - count(_SEPARATOR.join(pieces))
    for case in reserve:
        if missing <= 0:
            break
        pieces.append(f"{case.input}\n{case.output}")
        missing -= count(_SEPARATOR + pieces[-1])
    text = _SEPARATOR.join(pieces)
    return text, chunk_length(count(text))


def chunk_length(tokens: int) -> int:
    """Return the tokens of a chunk for a text: the longest that gives enough chunks."""
    fitting = (size for size in CONTEXTS if tokens >= size * LEAST_CHUNKS)
    return next(fitting, CONTEXTS[-1])


def training_text(job: Job) -> str:
    """Return the training rows as the model was shown them, one after another."""
    template = Template(Path(job.results["preflight"]["model_dir"]))
    prompt = Prompt(name="tuned", system=job.plan.tuned_instruction)
    cases = read_split(job.run_dir / "data" / "train.jsonl")
    return "\n".join("".join(training_row(template, prompt, case)) for case in cases)
