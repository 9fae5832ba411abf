"""`usage.md`: all that an engineer needs who sees the model for the first time, on any machine.

Every command works in the package's own directory with nothing but Python; every example is a
case that the run scored, the one it gets wrong included.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fathom_tui.gates import Outcome
from fathom_tui.package import Delivery, ScoredCase, answer_text
from fathom_tui.reports import running
from fathom_tui.reports.document import (
    Block,
    Code,
    Document,
    Heading,
    Items,
    Paragraph,
    Strong,
    Table,
    Text,
    Tone,
    Typed,
    joined_with,
    with_code,
)
from fathom_tui.reports.trouble import trouble
from fathom_tui.stats import wilson

_LIMITING = ("data.", "verify.", "evaluate.")
"""Beginnings of the gates whose warnings say what the model may be relied on for."""
_WEAKEST = 3
"""Classes that are named as the weakest."""


def usage(delivery: Delivery, runtime: str) -> Document:
    """Return the handbook of a package.

    Args:
        delivery: What is packed.
        runtime: The version of llama-cpp-python that the file was checked with.
    """
    return Document(
        title=f"{delivery.title}: how to use {delivery.gguf}",
        subtitle=f"Version {delivery.version}, made by run {delivery.view.id} of "
        f"{delivery.view.created_at[:10]} from {delivery.base}",
        blocks=(
            *_does(delivery),
            *_prompt(delivery),
            *_sampling(delivery),
            *_hardware(delivery),
            *running.first_start(delivery, runtime, _message(delivery)),
            *running.ollama(delivery),
            *running.fathom(delivery),
            *running.at_boot(delivery),
            *running.heard(delivery),
            *trouble(delivery, runtime),
            *_limits(delivery),
            *running.updating(delivery),
        ),
    )


def _does(delivery: Delivery) -> list[Block]:
    contract = delivery.contract
    fields = tuple[Text, ...](
        (
            Typed(found.name),
            ": ",
            *(
                joined_with(", ", map(Typed, found.choices))
                if found.kind == "choice"
                else (f"a number{' or null' if found.nullable else ''}",)
            ),
        )
        for found in contract.fields
    )
    kind = "one JSON object" if contract.kind == "json" else "exactly one label and nothing else"
    return [
        Heading(text="What it does"),
        *_task(delivery),
        Paragraph(text=(f"It reads one message and answers with {kind}:",)),
        Items(items=fields),
        Heading(text="What it does not do"),
        Items(
            items=(
                ("It does not chat, explain itself or remember earlier messages.",),
                ("It does not know any value but those above: what fits none gets one of them.",),
                ("It does not say how sure it is, and it does not say when it is wrong.",),
                (
                    "It does not decide alone where a wrong answer harms somebody: "
                    f"{_share(delivery)} Let a person look at such cases.",
                ),
            )
        ),
    ]


def _task(delivery: Delivery) -> list[Block]:
    """Quote what the task was set as, and say what of it the model itself was trained with."""
    full, system = delivery.plan.instruction.strip(), delivery.spec.system
    quoted = Paragraph(text=("“", *with_code(full), "”"))
    if full == system:
        return [Paragraph(text=("The instruction that it was trained with:",)), quoted]
    said = "The task, in the words of its instruction; an untrained model is prompted with them:"
    short = Paragraph(
        text=(
            "This model learnt the task from examples. In training as in use it is told only the "
            "system text under “Prompt format”.",
        )
    )
    return [Paragraph(text=(said,)), quoted, *([short] if system else [])]


def _share(delivery: Delivery) -> str:
    right, n = sum(case.right() for case in delivery.cases), len(delivery.cases)
    if not n:
        return "nothing is known of its errors."
    found = wilson(right, n)
    return (
        f"on the test split {right} of {n} answers were right in every field "
        f"(95 %: {found.low:.0%} to {found.high:.0%})."
    )


def _prompt(delivery: Delivery) -> list[Block]:
    system = delivery.spec.system
    text = (
        "The system text, the message of the user, and nothing else; no examples. The chat "
        "template stands in the GGUF and every server applies it: never paste it yourself."
    )
    blocks: list[Block] = [
        Heading(text="Prompt format"),
        Paragraph(text=(text,)),
        Code(text=_request(delivery), language="json"),
    ]
    if system:
        blocks.append(
            Paragraph(
                text=(
                    Strong("The system text is part of the model: "),
                    "it was trained with exactly this one, and another makes it worse.",
                ),
                tone=Tone.WARNING,
            )
        )
    for title, case in examples(delivery.cases):
        blocks += _example(delivery, title, case)
    return blocks


def _request(delivery: Delivery) -> str:
    body = running.request(delivery, "THE MESSAGE")
    return json.dumps(body, ensure_ascii=False, indent=2)


def _message(delivery: Delivery) -> str:
    """Return what the example request asks: a routine case, on one line."""
    routine = examples(delivery.cases)[0][1]
    anchors = [anchor.input for anchor in delivery.anchors.anchors]
    return _one_line(routine.input if routine else (*anchors, "Hello")[0])


def _example(delivery: Delivery, title: str, case: ScoredCase | None) -> list[Block]:
    if case is None:
        return [Heading(text=title, level=3), Paragraph(text=("The test split has none.",))]
    lines = [f"message:   {_one_line(case.input)}"]
    given = answer_text(delivery.contract, case.answers.get("quantised"))
    lines.append(f"answer:    {given}")
    if not case.right():
        lines.append(f"expected:  {answer_text(delivery.contract, case.expected)}")
    return [Heading(text=title, level=3), Code(text="\n".join(lines))]


def _one_line(text: str) -> str:
    return " ".join(text.split())


Choice = Callable[[ScoredCase], bool]


def examples(cases: Sequence[ScoredCase]) -> list[tuple[str, ScoredCase | None]]:
    """Return a routine case, an edge case and one the model gets wrong, from the scored ones.

    Without strata in the data, the edge case is the longest message that is answered right.
    """
    right, wrong = [c for c in cases if c.right()], [c for c in cases if not c.right()]
    routine = _first(right, lambda c: c.stratum in ("", "routine")) or _first(right)
    others = [c for c in right if c is not routine]
    edge = _first(others, lambda c: c.stratum == "edge")
    longest = max(others, key=lambda c: len(c.input), default=None)
    failed = _first(wrong, lambda c: c.stratum in ("", "routine")) or _first(wrong)
    return [
        ("A routine case", routine),
        ("An edge case" if edge else "A hard case (the longest it gets right)", edge or longest),
        ("One it gets wrong", failed),
    ]


def _first(cases: Sequence[ScoredCase], wanted: Choice = lambda _: True) -> ScoredCase | None:
    return next((case for case in cases if wanted(case)), None)


def _sampling(delivery: Delivery) -> list[Block]:
    limit = delivery.spec.max_new_tokens
    return [
        Heading(text="Sampling, and why"),
        Items(
            items=(
                (
                    Typed("temperature 0"),
                    ": there is one right answer, and every figure in benchmarks.md was measured "
                    "greedily. Any other temperature adds errors and nothing else.",
                ),
                (
                    Typed(f"max_tokens {limit}"),
                    ": the longest allowed answer fits; an answer that is cut there is broken.",
                ),
                (
                    Strong("grammar (optional): "),
                    "send the text of ",
                    Typed("eval/grammar.gbnf"),
                    " as ",
                    Typed("grammar"),
                    " to a llama.cpp "
                    f"server and no answer can break the contract. {_free(delivery)}",
                ),
            )
        ),
    ]


def _free(delivery: Delivery) -> str:
    rate = delivery.view.result.get("free_valid", {}).get("quantised")
    if rate is None:
        return "How often it does without a grammar was not measured."
    return f"Without it {rate:.1%} of the test answers were usable."


def _hardware(delivery: Delivery) -> list[Block]:
    rows = (
        ("anchors.seconds_per_answer", "An answer through the server, one at a time"),
        ("quantised.tokens_per_s", "Tokens generated, eight messages side by side"),
        ("evaluate.peak_memory", "Most memory of the process that scored it"),
    )
    found = [(text, delivery.figure(name)) for name, text in rows]
    table = Table(
        header=(("Measured",), ("On",), ("Value",)),
        rows=tuple(
            ((text,), (measured_on(item),), (_value(item["figure"]),))
            for text, item in found
            if item is not None
        ),
        words=2,
    )
    size = f"The file is {delivery.bytes / 1e6:,.0f} MB; it needs that much memory"
    text = (
        f"{size} and some for its context of {delivery.spec.n_ctx:,} tokens. It runs on a CPU; "
        "with a llama.cpp that was built for a GPU it runs there: see the commands below, under "
        "\u201cGPU health, and serving on a GPU\u201d."
    )
    blocks: list[Block] = [Heading(text="Hardware"), Paragraph(text=(text,))]
    missing = "Time to the first token and behaviour under load were not measured."
    return [*blocks, *([table] if table.rows else []), Paragraph(text=(missing,), tone=Tone.SMALL)]


def measured_on(item: Mapping[str, Any]) -> str:
    """Return the machine of a measurement as one writes it; its id in the ledger has no singular.

    Args:
        item: {name, figure, hardware}, as the delivery gives it.
    """
    return re.sub(r"^1 cores\b", "1 core", str(item["hardware"]))


def _value(figure: object) -> str:
    from fathom_tui.figures import Figure

    found = Figure.from_json(figure) if isinstance(figure, dict) else None
    if found is None or found.value is None:
        return "unknown"
    number = f"{found.value:.2g}" if found.value < 10 else f"{found.value:,.0f}"
    return f"{number} {found.unit}"


def _limits(delivery: Delivery) -> list[Block]:
    counts = delivery.result("data").get("counts", {})
    items: list[Text] = [(f"Measured on {len(delivery.cases)} cases: {_share(delivery)}",)]
    if weak := weakest(delivery):
        items.append(("Weakest: ", *with_code(weak), "."))
    if counts:
        items.append(
            (
                f"Trained on {counts['train']:,} rows; what those do not show, it has not learnt. "
                "Other languages, other products and new kinds of message were not tested.",
            )
        )
    items.append(
        (
            f"Message, system text and answer share {delivery.spec.n_ctx:,} tokens; a longer "
            "message is refused by the server. Rows longer than "
            f"{delivery.plan.max_length:,} tokens were left out of the training.",
        )
    )
    items += [
        ("Warning of ", Typed(gate.name), ": ", *with_code(delivery.public(gate.reason)))
        for gate in delivery.gates.values()
        if gate.outcome is Outcome.WARN and gate.name.startswith(_LIMITING)
    ]
    return [Heading(text="Known limits"), Items(items=tuple(items))]


def weakest(delivery: Delivery) -> str:
    """Return the classes that are found least often, with their counts; empty where none is."""
    found = []
    for field in delivery.contract.choice_fields:
        for label in field.choices:
            cases = [c for c in delivery.cases if c.expected[field.name] == label]
            right, n = sum(field.name not in c.wrong_fields() for c in cases), len(cases)
            if right < n:
                found.append((right / n, f"{field.name} = {label} ({right} of {n})"))
    return ", ".join(text for _, text in sorted(found)[:_WEAKEST])
