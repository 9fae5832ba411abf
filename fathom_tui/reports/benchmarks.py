"""`benchmarks.md`: what the run measured, the failures as well as the gain."""

from collections.abc import Callable, Sequence
from typing import Any

from fathom_tui.comparison import NAMES
from fathom_tui.contract import Field
from fathom_tui.figures import Figure
from fathom_tui.gates import Outcome
from fathom_tui.metrics.per_class import ClassScore, Confusion, class_scores, confusion
from fathom_tui.package import Delivery, ScoredCase, answer_text
from fathom_tui.reports.confusion import confusion_chart, description, often
from fathom_tui.reports.document import (
    Block,
    Code,
    Document,
    Heading,
    Items,
    Paragraph,
    Picture,
    Strong,
    Table,
    Text,
    Tone,
    Typed,
    with_code,
)
from fathom_tui.reports.usage import measured_on
from fathom_tui.stats import Interval, Weights, resample_weights, wilson
from fathom_tui.summary import ROWS, score_rows

PAIRS, FAILURES = 5, 5
"""Before-and-after pairs and failures that are shown (book, ch. 5: five, and three to five)."""
_SHIPPED = "quantised"


def benchmarks(delivery: Delivery) -> Document:
    """Return what the run measured about the file that is delivered."""
    weights = resample_weights(len(delivery.cases), seed=delivery.plan.seed)
    return Document(
        title=f"{delivery.title}: benchmarks of {delivery.gguf}",
        subtitle=f"Run {delivery.view.id}, {len(delivery.cases)} test cases, file sha256 "
        f"{delivery.spec.sha256[:16]}…",
        blocks=(
            Paragraph(text=(str(delivery.view.result["headline"]),), tone=Tone.VERDICT),
            *_scores(delivery),
            *(block for field in delivery.contract.choice_fields
              for block in _field(delivery, field, weights)),
            *_strata(delivery),
            *_pairs(delivery),
            *_failures(delivery),
            *_cheaper(delivery),
            *_quantisation(delivery),
            *_speed(delivery),
            *_reservations(delivery),
            *_method(delivery),
        ),
    )  # fmt: skip


def _scores(delivery: Delivery) -> list[Block]:
    rows = score_rows(delivery.view)
    fields = list(rows[-1].parts) if rows and len(rows[-1].parts) > 1 else []
    header: list[Text] = [("Way to answer",), ("Score (95 %)",), *((name,) for name in fields)]
    table = Table(
        header=(*header, ("Usable free",), ("Prompt tokens",)),
        rows=tuple(
            (
                (row.name,),
                (row.score,),
                *((row.parts.get(name, "–"),) for name in fields),
                (row.free or "–",),
                (row.prompt_tokens or "–",),
            )
            for row in rows
        ),
    )
    target = delivery.view.result["target"]
    return [
        Heading(text="Scores"),
        table,
        Paragraph(text=(f"Target: {target['explained']}; it was set before the training.",)),
        *_differences(delivery),
    ]


def _differences(delivery: Delivery) -> list[Block]:
    found = delivery.view.result.get("differences", {})
    items: list[Text] = []
    for pair, value in found.items():
        one, _, other = pair.partition(" - ")
        said = f"{value['value']:+.3f} ({value['low']:+.3f} to {value['high']:+.3f})"
        items.append((f"{NAMES[one]} against {NAMES[other]}: ", Strong(said)))
    if not items:
        return []
    return [Paragraph(text=("Differences on the same cases, 95 %:",)), Items(items=tuple(items))]


def _field(delivery: Delivery, field: Field, weights: Weights) -> list[Block]:
    truth = [str(case.expected[field.name]) for case in delivery.cases]
    given = [_choice(case, field.name) for case in delivery.cases]
    found = confusion(field.choices, truth, given)
    rows = tuple(_class_row(score) for score in class_scores(found, truth, given, weights))
    header = (("Class",), ("Cases",), ("Precision",), ("Recall",), ("F1",))
    return [
        Heading(text=f"Field {field.name}"),
        Picture(svg=confusion_chart(found, field.name), alt=description(found, field.name)),
        Table(header=header, rows=rows),
        *_mistakes(found),
    ]


def _choice(case: ScoredCase, name: str) -> str | None:
    given = case.answers.get(_SHIPPED)
    return None if given is None else str(given[name])


def _class_row(score: ClassScore) -> tuple[Text, ...]:
    return (
        (score.label,),
        (str(score.n),),
        *((_interval(part),) for part in (score.precision, score.recall, score.f1)),
    )


def _interval(found: Interval | None) -> str:
    return "–" if found is None else f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})"


def _mistakes(found: Confusion) -> list[Block]:
    worst = found.mistakes()[:3]
    if not worst:
        return [Paragraph(text=("No case was confused.",))]
    said = "; ".join(
        f"{truth} taken for {answer if answer is not None else 'nothing usable'}, {often(times)}"
        for truth, answer, times in worst
    )
    return [Paragraph(text=(f"Most often: {said}.",), tone=Tone.SMALL)]


def _strata(delivery: Delivery) -> list[Block]:
    """Return how each kind of message does, where the data names kinds."""
    kinds = sorted({case.stratum for case in delivery.cases if case.stratum})
    if len(kinds) < 2:
        return []
    rows = []
    for kind in kinds:
        cases = [case for case in delivery.cases if case.stratum == kind]
        right = sum(case.right() for case in cases)
        rows.append(((kind,), (_share(right, len(cases)),)))
    header = (("Kind of message",), ("Right in every field",))
    return [Heading(text="By kind of message"), Table(header=header, rows=tuple(rows))]


def _share(right: int, n: int) -> str:
    found = wilson(right, n)
    return f"{right} of {n}, {found.value:.0%} ({found.low:.0%}–{found.high:.0%})"


def _pairs(delivery: Delivery) -> list[Block]:
    cases = delivery.cases
    before = max(("untuned", "prompt"), key=lambda way: _right(cases, way))
    gained = [case for case in cases if case.right() and not case.right(before)]
    lost = [case for case in cases if case.right(before) and not case.right()]
    both = sum(case.right() and case.right(before) for case in cases)
    neither = len(cases) - len(gained) - len(lost) - both
    text = (
        f"Against the {NAMES[before]}, right in every field: {len(gained)} cases won, {len(lost)} "
        f"lost, {both} right before and after, {neither} wrong before and after."
    )
    shown = _spread(gained, PAIRS)
    blocks: list[Block] = [Heading(text="Before and after"), Paragraph(text=(text,))]
    if len(shown) < PAIRS:
        blocks.append(Paragraph(text=(f"Only {len(shown)} cases were won; all of them follow.",)))
    return [*blocks, *(_pair(delivery, case, before) for case in shown)]


def _right(cases: Sequence[ScoredCase], way: str) -> int:
    return sum(case.right(way) for case in cases)


def _pair(delivery: Delivery, case: ScoredCase, before: str) -> Code:
    def said(way: str) -> str:
        return answer_text(delivery.contract, case.answers.get(way))

    return Code(
        text=f"message: {_one_line(case.input)}\nbefore:  {said(before)}\nafter:   {said(_SHIPPED)}"
    )


def _failures(delivery: Delivery) -> list[Block]:
    wrong = [case for case in delivery.cases if not case.right()]
    n = len(delivery.cases)
    blocks: list[Block] = [
        Heading(text="Still gets wrong"),
        Paragraph(text=(f"Wrong in at least one field: {_share(len(wrong), n)}.",)),
    ]
    for case in _spread(wrong, FAILURES, worst=True):
        fields = ", ".join(case.wrong_fields())
        lines = (
            f"message:  {_one_line(case.input)}",
            f"answer:   {answer_text(delivery.contract, case.answers.get(_SHIPPED))}",
            f"expected: {answer_text(delivery.contract, case.expected)}",
            f"wrong:    {fields}",
        )
        blocks.append(Code(text="\n".join(lines)))
    return blocks


def _spread(cases: Sequence[ScoredCase], count: int, *, worst: bool = False) -> list[ScoredCase]:
    """Return some cases, of as many classes as there are; with `worst`, the most wrong first."""
    key: Callable[[ScoredCase], int] = lambda case: -len(case.wrong_fields()) if worst else 0  # noqa: E731
    ordered = sorted(cases, key=key)
    seen: dict[str, list[ScoredCase]] = {}
    for case in ordered:
        seen.setdefault(str(next(iter(case.expected.values()))), []).append(case)
    turns = [
        (place, order, case)
        for order, group in enumerate(seen.values())
        for place, case in enumerate(group)
    ]
    return [case for _, _, case in sorted(turns, key=lambda turn: turn[:2])][:count]


def _cheaper(delivery: Delivery) -> list[Block]:
    scores, names = delivery.view.result["scores"], delivery.view.result.get("cheaper", [])
    tried = [way for way in ROWS if way in scores and way not in ("tuned", _SHIPPED)]
    if names:
        text = (
            f"As good within the margin of {delivery.plan.margin:g}, or better: "
            f"{', '.join(NAMES[n] for n in names)}."
        )
    else:
        text = f"None comes within the margin of {delivery.plan.margin:g}."
    listed = ", ".join(NAMES[way] for way in tried)
    note = f"Tried on the same cases: {listed}. None of them needs a GPU."
    return [Heading(text="Cheaper ways"), Paragraph(text=(Strong(text), f" {note}"))]


def _quantisation(delivery: Delivery) -> list[Block]:
    made, verified = delivery.result("quantize"), delivery.result("verify")
    found: list[Text] = []
    if made:
        found.append(
            (
                f"{made['type']}: {made['bytes'] / 1e6:,.0f} MB instead of "
                f"{made['f16_bytes'] / 1e6:,.0f} MB, {made['effective_bits']:.2f} bits per weight "
                "in effect.",
            )
        )
    if verified:
        p = verified["perplexity"]
        found.append(
            (
                f"Perplexity on held-out text: {p['f16']:.2f} in f16, {p['quantised']:.2f} "
                f"quantised, {p['rise']:+.1%} ({p['low']:+.1%} to {p['high']:+.1%}): {p['band']}.",
            )
        )
    cost = delivery.view.result.get("differences", {}).get("tuned - quantised")
    if cost:
        found.append(
            (
                f"Score lost by quantising: {cost['value']:+.3f} ({cost['low']:+.3f} to "
                f"{cost['high']:+.3f}).",
            )
        )
    return [Heading(text="What quantising cost"), Items(items=tuple(found))] if found else []


_SPEEDS = (
    ("untuned.tokens_per_s", "Untuned model, f16, eight cases side by side"),
    ("tuned.tokens_per_s", "Tuned model, f16, eight cases side by side"),
    ("quantised.tokens_per_s", "Delivered file, eight cases side by side"),
    ("anchors.seconds_per_answer", "Delivered file, one answer through its server"),
)


def _speed(delivery: Delivery) -> list[Block]:
    rows = []
    for name, text in _SPEEDS:
        item = delivery.figure(name)
        if item is not None:
            rows.append(((text,), (measured_on(item),), (_figure(item),)))
    table = Table(header=(("What",), ("On",), ("Measured",)), rows=tuple(rows), words=2)
    note = "Time to the first token was not measured."
    return [Heading(text="Speed"), table, Paragraph(text=(note,), tone=Tone.SMALL)]


def _figure(item: Any) -> str:
    found = Figure.from_json(item["figure"])
    return "unknown" if found.value is None else f"{found.value:.3g} {found.unit}"


def _reservations(delivery: Delivery) -> list[Block]:
    """Return what a person lifted, and every warning of the run."""
    lifted: tuple[Text, ...] = tuple(
        (
            Typed(str(waiver["gate"])),
            f", lifted by {waiver['by']} on {str(waiver.get('at', ''))[:10]}: {waiver['reason']}",
        )
        for waiver in delivery.waivers
    )
    warned: tuple[Text, ...] = tuple(
        (Typed(gate.name), ": ", *with_code(delivery.public(gate.reason)))
        for gate in delivery.gates.values()
        if gate.outcome is Outcome.WARN
    )
    none: Block = Paragraph(text=("None.",))
    return [
        Heading(text="Waivers"),
        Items(items=lifted) if lifted else none,
        Heading(text="Warnings"),
        Items(items=warned) if warned else none,
    ]


def _method(delivery: Delivery) -> list[Block]:
    counts = delivery.result("data").get("counts", {})
    times = "once" if delivery.test_openings == 1 else f"{delivery.test_openings} times"
    rows = ", ".join(f"{counts[n]:,} {n}" for n in ("train", "validation", "test") if n in counts)
    items: list[Text] = [
        (
            "Every way answered the same cases greedily in the same llama.cpp, constrained to the "
            "contract; \u201cusable free\u201d is the share of unconstrained answers that meet it.",
        ),
        (
            "A score is the mean over fields of macro F1 (classes) and exact match (numbers). "
            "Intervals are 95 %: bootstrap for scores and F1, Wilson for shares.",
        ),
        (
            "A repeat may answer a few cases otherwise, with the file unchanged: cases that are "
            "computed side by side, in another order or on another machine are rounded otherwise, "
            "which flips answers that are almost equally likely.",
        ),
        (f"Rows: {rows}. The test split was opened {times} in this engagement.",),
    ]
    return [Heading(text="How it was measured"), Items(items=tuple(items))]


def _one_line(text: str) -> str:
    return " ".join(text.split())
