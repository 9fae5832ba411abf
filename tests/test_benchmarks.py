"""`benchmarks.md`: every number from the run, the failures shown, the drawing true."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from fathom_tui.metrics.per_class import class_scores, confusion
from fathom_tui.package import Delivery, ScoredCase
from fathom_tui.reports.benchmarks import benchmarks
from fathom_tui.reports.confusion import confusion_chart, description
from fathom_tui.reports.markdown import to_markdown
from fathom_tui.runner.delivery import gather
from fathom_tui.stats import resample_weights
from fathom_tui.store import Home, Store
from tests.delivering import engage, finish

CLASSES = ("a", "b", "c")
pairs = st.lists(
    st.tuples(st.sampled_from(CLASSES), st.sampled_from((*CLASSES, None))), min_size=1, max_size=30
)


@pytest.fixture
def delivery(home: Home, tmp_path: Path) -> Delivery:
    store = Store(home.prepare())
    slug = engage(store, tmp_path / "rows")
    return gather(store, slug, finish(store, slug))


@pytest.fixture
def text(delivery: Delivery) -> str:
    return to_markdown(benchmarks(delivery), {})


class TestDocument:
    def test_begins_with_the_verdict(self, text: str) -> None:
        assert text.split("\n\n")[2] == "> Fit to ship."

    def test_has_every_way_with_its_interval(self, text: str) -> None:
        for way, value in (("untuned model", 0.3), ("tuned and quantised", 0.9)):
            assert f"| {way} | {value:.3f} (0.800–1.000) |" in text

    def test_counts_what_was_won_and_what_was_lost(self, text: str) -> None:
        # The prompt always says card: it has the two cards, the file two of three others.
        assert (
            "Against the best static prompt, right in every field: 2 cases won, 1 lost, 1 right "
            "before and after, 0 wrong before and after." in text
        )
        assert "Only 2 cases were won; all of them follow." in text
        assert "before:  card\nafter:   transfer" in text

    def test_shows_what_it_still_gets_wrong(self, text: str) -> None:
        assert "Wrong in at least one field: 1 of 4, 25% (5%–70%)." in text
        assert "answer:   transfer\nexpected: card\nwrong:    label" in text

    def test_tells_the_cost_of_quantising(self, text: str) -> None:
        assert "Perplexity on held-out text: 12.00 in f16, 12.10 quantised, +1.0%" in text
        assert "Score lost by quantising: +0.020 (+0.000 to +0.040)." in text

    def test_splits_by_kind_of_message(self, text: str) -> None:
        assert "| edge | 1 of 1, 100% (21%–100%) |" in text

    def test_says_how_often_the_test_was_opened(self, delivery: Delivery) -> None:
        text = to_markdown(benchmarks(replace(delivery, test_openings=3)), {})

        assert "The test split was opened 3 times in this engagement." in text

    def test_repeats_every_warning_and_waiver(self, delivery: Delivery, text: str) -> None:
        assert "- `data.floor`: 48 training rows are few." in text
        waiver = {"gate": "data.floor", "by": "Ann", "reason": "a pilot", "at": "2026-11-22T05"}
        waived = to_markdown(benchmarks(replace(delivery, waivers=(waiver,))), {})
        assert "- `data.floor`, lifted by Ann on 2026-11-22: a pilot" in waived

    def test_of_a_file_without_a_mistake_says_so(self, delivery: Delivery) -> None:
        right = tuple(c for c in delivery.cases if c.right())

        text = to_markdown(benchmarks(replace(delivery, cases=right)), {})

        assert "Wrong in at least one field: 0 of 3" in text
        assert "No case was confused." in text

    def test_of_unusable_answers_says_so(self, delivery: Delivery) -> None:
        broken = tuple(replace(c, answers={**c.answers, "quantised": None}) for c in delivery.cases)

        text = to_markdown(benchmarks(replace(delivery, cases=broken)), {})

        assert "(no usable answer)" in text
        assert "card taken for nothing usable, 2 times" in text

    def test_spreads_failures_over_the_classes(self, delivery: Delivery) -> None:
        def wrong(n: int, label: str) -> ScoredCase:
            said = {"label": "card" if label == "transfer" else "transfer"}
            return ScoredCase(
                id=str(n), input=f"message {n}", stratum="", expected={"label": label},
                answers={way: said for way in ("untuned", "prompt", "quantised")},
            )  # fmt: skip

        many = tuple(wrong(n, "card") for n in range(9)) + (wrong(9, "transfer"),)

        text = to_markdown(benchmarks(replace(delivery, cases=many)), {})

        assert "message 9" in text
        assert len(re.findall(r"^wrong:", text, re.MULTILINE)) == 5


class TestPerClass:
    @given(pairs)
    def test_scores_are_those_of_sklearn(self, rows: list[tuple[str, str | None]]) -> None:
        truth, said = [t for t, _ in rows], [s for _, s in rows]

        found = class_scores(
            confusion(CLASSES, truth, said), truth, said, resample_weights(len(rows), seed=1)
        )

        wanted = precision_recall_fscore_support(
            truth, [s or "none" for s in said], labels=CLASSES, zero_division=0
        )
        for place, score in enumerate(found):
            values = (score.precision, score.recall, score.f1)
            ours = [0.0 if v is None else v.value for v in values]
            assert ours == pytest.approx([float(column[place]) for column in wanted[:3]])
            assert score.n == wanted[3][place]

    @given(pairs)
    def test_every_case_is_counted_once(self, rows: list[tuple[str, str | None]]) -> None:
        found = confusion(CLASSES, [t for t, _ in rows], [s for _, s in rows])

        assert found.n == len(rows)
        assert found.unusable == sum(s is None for _, s in rows)
        right = int(np.trace(found.counts[:, :-1]))
        assert right + sum(times for _, _, times in found.mistakes()) == len(rows)

    def test_a_class_of_another_contract_is_refused(self) -> None:
        with pytest.raises(ValueError, match="none of the classes"):
            confusion(("a", "b"), ["a"], ["z"])


class TestDrawing:
    @given(pairs)
    def test_is_well_formed_and_shows_every_count(self, rows: list[tuple[str, str | None]]) -> None:
        found = confusion(CLASSES, [t for t, _ in rows], [s for _, s in rows])

        root = ET.fromstring(confusion_chart(found, "kind"))

        numbers = [e.text for e in root.iter() if e.tag.endswith("text")]
        shown = sum(int(n) for n in numbers if n is not None and n.isdigit())
        assert shown == len(rows)

    @pytest.mark.parametrize("count", [2, 77, 300])
    def test_of_many_classes_stays_readable_or_leaves_the_numbers_out(self, count: int) -> None:
        classes = tuple(f"class number {n}" for n in range(count))
        found = confusion(classes, classes, classes)

        root = ET.fromstring(confusion_chart(found, "kind"))

        assert float(root.attrib["width"]) < 150 + 8 * max(count, 80)
        assert sum(e.tag.endswith("rect") for e in root.iter()) == 1 + count * count

    def test_holds_no_markup_of_a_class(self) -> None:
        classes = ("<b>&", '"')
        found = confusion(classes, classes, classes)

        root = ET.fromstring(confusion_chart(found, "</title><script>"))

        assert {e.tag.rpartition("}")[2] for e in root.iter()} == {
            *("svg", "title", "desc", "rect", "text"),
        }

    def test_says_in_words_what_it_shows(self) -> None:
        found = confusion(("a", "b"), ["a", "a", "b"], ["b", "b", None])

        assert description(found, "kind") == (
            "Confusion matrix of kind: 0 of 3 answers right. Most often confused: a answered as b "
            "2 times; b answered as unusable once."
        )
