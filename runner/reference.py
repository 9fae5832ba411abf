"""What transformers makes of a run's prompts: rendered, tokenised and answered greedily.

Written by `merge`, which has torch and the weights in memory; everything after it is held against
this file.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from fathom_tui.datasets.cases import Case
from fathom_tui.parity import ParityCase, ParityReference, Said
from fathom_tui.runner.chat import Prompt

RENDERED, ANSWERED = 16, 8
"""Validation cases that are rendered and tokenised, and those of them that are answered too."""
_DRAFTS = 3
"""Times a draft is tried before an answer is decoded token by token: a JSON answer of 30 tokens
takes two passes (measured on the demo), a third of the time of 30 steps."""


def reference(
    tokenizer: Any, ends: Iterable[int], prompt: Prompt, cases: Sequence[Case]
) -> ParityReference:
    """Return cases as transformers renders and tokenises them.

    Args:
        tokenizer: Of transformers, of the merged model.
        ends: Ids that end an answer besides the tokenizer's own.
        prompt: The tuned prompt.
        cases: Validation cases; the first `RENDERED` are taken.
    """
    own = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    return ParityReference(
        bos=tokenizer.bos_token_id,
        bos_text=str(tokenizer.bos_token or ""),
        ends=tuple(dict.fromkeys([*own, *ends])),
        cases=tuple(_case(tokenizer, prompt, case) for case in cases[:RENDERED]),
    )


def _case(tokenizer: Any, prompt: Prompt, case: Case) -> ParityCase:
    rendered = str(
        tokenizer.apply_chat_template(
            prompt.messages(case.input), tokenize=False, add_generation_prompt=True
        )
    )
    whole = rendered + case.output + str(tokenizer.eos_token or "")
    return ParityCase(
        id=case.id,
        input=case.input,
        rendered=rendered,
        whole=whole,
        tokens=tuple(tokenizer(rendered, add_special_tokens=False)["input_ids"]),
        whole_tokens=tuple(tokenizer(whole, add_special_tokens=False)["input_ids"]),
    )


def answered(
    found: ParityReference,
    model: Any,
    tokenizer: Any,
    *,
    form: Literal["adapter", "merged"],
    limit: int,
) -> ParityReference:
    """Return the reference with the greedy answers of a model of transformers.

    Args:
        found: Its first `ANSWERED` cases are asked.
        model: The weights as they stand.
        tokenizer: Of the same model.
        form: Which weights these are.
        limit: Most tokens of an answer.
    """
    cases = list(found.cases)
    for place, case in enumerate(cases[:ANSWERED]):
        # What is probably said is proposed and checked in one pass.
        draft = case.adapter.tokens if case.adapter else case.whole_tokens[len(case.tokens) :]
        tokens = greedy(model, case.tokens, draft, ends=found.ends, limit=limit)
        answer = said(tokens, found.ends, lambda ids: str(tokenizer.decode(ids)))
        if form == "adapter":
            cases[place] = replace(case, adapter=answer)
        else:
            cases[place] = replace(case, merged=answer)
    return replace(found, cases=tuple(cases))


def greedy(
    model: Any, prompt: Sequence[int], draft: Sequence[int], *, ends: Sequence[int], limit: int
) -> list[int]:
    """Return the greedy answer of a model of transformers, its end token included.

    Args:
        model: A causal language model.
        prompt: Token ids.
        draft: What the answer may be; it saves time where it is right, and changes nothing.
        ends: Ids that end the answer.
        limit: Most tokens.
    """
    import torch

    tokens: list[int] = []
    with torch.inference_mode():
        for _ in range(_DRAFTS):
            # Answers are mostly fixed form: past a wrong word the draft is often right again.
            rest = list(draft[len(tokens) : limit - 1])
            given = torch.tensor([[*prompt, *tokens, *rest]], device=model.device)
            rows = model(input_ids=given).logits[0, len(prompt) + len(tokens) - 1 :]
            tokens += _agreed(rest, rows.argmax(-1).tolist(), ends)
            if len(tokens) >= limit or tokens[-1] in ends:
                return tokens[:limit]
        return _go_on(model, list(prompt), tokens, ends=ends, limit=limit)


def _go_on(
    model: Any, prompt: list[int], tokens: list[int], *, ends: Sequence[int], limit: int
) -> list[int]:
    """Return an answer that was begun, decoded to its end one token after another."""
    import torch

    cache, given = None, [*prompt, *tokens]
    while len(tokens) < limit and tokens[-1] not in ends:
        out = model(
            input_ids=torch.tensor([given], device=model.device),
            past_key_values=cache,
            use_cache=True,
        )
        cache, given = out.past_key_values, [int(out.logits[0, -1].argmax())]
        tokens = [*tokens, *given]
    return tokens


def _agreed(draft: Sequence[int], best: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Return the best tokens as far as the draft led to them, and the first one beyond it."""
    tokens: list[int] = []
    for token, proposed in zip(best, [*draft, None], strict=True):
        tokens.append(token)
        if token != proposed or token in ends:
            break
    return tokens


def said(tokens: Sequence[int], ends: Sequence[int], text: Callable[[list[int]], str]) -> Said:
    """Return tokens as an answer: whether its last one is an end, and the text before that."""
    ended = bool(tokens) and tokens[-1] in ends
    words = list(tokens[:-1] if ended else tokens)
    return Said(tokens=tuple(tokens), text=text(words), ended=ended)


def write_reference(path: Path, found: ParityReference) -> None:
    """Write a reference to its file."""
    path.write_text(json.dumps(found.to_json(), ensure_ascii=False), "utf-8")


def read_reference(path: Path) -> ParityReference:
    """Read a reference from its file."""
    return ParityReference.from_json(json.loads(path.read_text("utf-8")))
