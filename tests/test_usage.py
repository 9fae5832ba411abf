"""`usage.md` before an engineer who has never seen the model."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.checklist import Item, checklist
from fathom_tui.package import Delivery, ScoredCase
from fathom_tui.reports.document import Code, Document
from fathom_tui.reports.markdown import to_markdown
from fathom_tui.reports.usage import examples, usage, weakest
from fathom_tui.runner.delivery import gather
from fathom_tui.store import Home, Store
from tests.delivering import ANSWERS, SYSTEM, engage, finish

TOPICS = (
    "What it does",
    "What it does not do",
    "Prompt format",
    "A routine case",
    "An edge case",
    "One it gets wrong",
    "Sampling, and why",
    "Hardware",
    "Run it on any machine",
    "Run it in Ollama",
    "With Fathom",
    "Start at boot",
    "After a reboot",
    "When the output is garbage",
    "GPU health",
    "Has it become worse?",
    "Known limits",
    "Update, and go back",
)
"""What the book asks of it (ch. 5), and what a restart at three in the morning asks."""


@pytest.fixture
def delivery(home: Home, tmp_path: Path) -> Delivery:
    store = Store(home.prepare())
    slug = engage(store, tmp_path / "rows")
    return gather(store, slug, finish(store, slug))


@pytest.fixture
def text(delivery: Delivery) -> str:
    return to_markdown(usage(delivery, "0.3.36"))


def codes(document: Document) -> list[str]:
    return [block.text for block in document.blocks if isinstance(block, Code)]


def test_answers_every_question_of_a_new_engineer(text: str) -> None:
    headings = re.findall(r"^#{2,3} (.*)$", text, re.MULTILINE)

    assert [topic for topic in TOPICS if not any(h.startswith(topic) for h in headings)] == []


def test_shows_real_cases_and_one_that_is_wrong(text: str) -> None:
    shown = {said: f"message:   {' '.join(said.split())}" in text for said, *_ in ANSWERS}

    assert shown == {
        "My card is gone": True,
        "Where is my money": True,
        "It declined ```again```\nat the till": True,
        "Rent has not arrived": False,
    }
    assert "answer:    transfer\nexpected:  card" in text


def test_gives_requests_that_can_be_sent_as_they_are(delivery: Delivery) -> None:
    command = next(c for c in codes(usage(delivery, "0.3.36")) if c.startswith("curl"))

    words = shlex.split(command)
    body = json.loads(words[words.index("-d") + 1])
    assert body["temperature"] == 0
    assert body["messages"][0] == {"role": "system", "content": SYSTEM}
    assert body["messages"][1]["content"] == "My card is gone"


def test_names_files_that_are_in_the_package(delivery: Delivery, text: str) -> None:
    commands = "\n".join(codes(usage(delivery, "0.3.36")))

    assert f'--model "{delivery.gguf}"' in commands
    assert "llama-cpp-python[server]==0.3.36" in commands
    assert "ollama create acme:v1 -f Modelfile" in commands
    assert "--n_ctx 512" in commands
    assert "fathom package verify ." in commands


def test_says_that_the_system_text_belongs_to_the_model(text: str) -> None:
    assert f'"content": "{SYSTEM}"' in text
    assert "another makes it worse" in text


def test_says_what_was_measured_and_what_was_not(text: str) -> None:
    assert "| An answer through the server, one at a time | two cores | 0.5 s |" in text
    assert "Time to the first token" in text
    assert "Tokens generated" not in text  # this run did not measure them


def test_commands_and_names_can_be_read_raw(text: str) -> None:
    outside = "".join(re.split(r"`{3,}.*?`{3,}", text, flags=re.DOTALL))

    assert "\\" not in outside
    assert "journalctl -k | grep -i xid" in text
    assert "CMAKE_ARGS=-DGGML_CUDA=on .venv/bin/pip install" in text
    assert "--n_gpu_layers -1" in text


def test_says_with_how_many_anchors_it_is_broken(delivery: Delivery) -> None:
    one = delivery.anchors.anchors[0]
    ten = replace(delivery.anchors, anchors=tuple(replace(one, id=str(n)) for n in range(10)))

    text = to_markdown(usage(replace(delivery, anchors=ten), "0.3.36"))

    assert "Of 10 anchors 9 must pass: one missed is a near tie" in text
    assert "with 8 or fewer right it is broken" in text


def test_says_what_the_count_of_the_evaluation_cases_means(delivery: Delivery) -> None:
    free = to_markdown(usage(replace(delivery, free_right=3), "0.3.36"))
    kept = to_markdown(usage(delivery, "0.3.36"))

    assert "3 were right at delivery, asked in the same way (95 %: 30% to 95%)" in free
    assert "below 2 it has become worse, and the exit code is 1" in free
    assert "decides nothing" in kept


def test_somebody_is_told_only_once_an_alert_arrived(delivery: Delivery) -> None:
    def item(**changes: object) -> Item:
        found = checklist(replace(delivery, **changes))  # type: ignore[arg-type]
        return next(i for i in found if i.text.startswith("Somebody is told"))

    facts = {"alert_command": "mail ops"}
    sent = {"at": "2026-11-22T05", "delivered": [{"hook": "command mail", "ok": True}]}
    lost = {"at": "2026-11-22T05", "delivered": [{"hook": "command mail", "ok": False}]}

    assert "set, never fired yet: test it with fathom serve acme --stop" in item(facts=facts).how
    assert not item(facts=facts, alerts=(lost,)).done
    assert item(facts=facts, alerts=(lost, sent)).done
    assert not item(facts={}, alerts=(lost, sent)).done  # nobody is told any more


def test_a_check_in_which_nothing_was_answered_hides_no_earlier_one(delivery: Delivery) -> None:
    silent = {**delivery.checks[-1], "passed": None, "total": None, "state": "unknown"}

    def anchors(checks: tuple[object, ...]) -> Item:
        found = checklist(replace(delivery, checks=checks))  # type: ignore[arg-type]
        return next(i for i in found if "anchor prompts pass" in i.text)

    assert anchors((*delivery.checks, silent)).done
    assert anchors((silent,)).how.startswith("Never asked.")


def test_a_message_cannot_break_out_of_its_place(delivery: Delivery) -> None:
    evil = "```\n# Ignore this file\n[x](http://evil.example) <script>"
    case = replace(delivery.cases[0], input=evil)

    text = to_markdown(usage(replace(delivery, cases=(case, *delivery.cases[1:])), "0.3.36"))

    fence = next(m[0] for m in re.finditer("`{4,}", text))
    inside = text.split(fence)[1]
    assert "<script>" in inside
    assert not re.search(r"^# Ignore", text, re.MULTILINE)


def test_a_name_is_no_markup(delivery: Delivery) -> None:
    text = to_markdown(usage(replace(delivery, title="*Acme* <b>|</b>"), "0.3.36"))

    assert text.startswith(r"# \*Acme\* \<b\>\|\</b\>: how to use")


def test_names_the_weakest_classes(delivery: Delivery) -> None:
    assert weakest(delivery) == "label = card (1 of 2)"


def test_without_a_check_says_so(delivery: Delivery) -> None:
    text = to_markdown(usage(replace(delivery, checks=()), "0.3.36"))

    assert "The file itself answered all 2 anchors" in text


def case(stratum: str, *, right: bool, text: str = "x") -> ScoredCase:
    said = {"label": "a" if right else "b"}
    return ScoredCase(
        id=text, input=text, stratum=stratum, expected={"label": "a"}, answers={"quantised": said}
    )


cases = st.builds(
    case, st.sampled_from(("", "routine", "edge", "adversarial")), right=st.booleans(),
    text=st.text(max_size=5),
)  # fmt: skip


@given(st.lists(cases, max_size=8))
def test_examples_are_what_they_say_they_are(given_cases: list[ScoredCase]) -> None:
    (_, routine), (second, edge), (_, wrong) = examples(given_cases)

    assert routine is None or routine.right()
    assert edge is None or (edge.right() and edge is not routine)
    assert wrong is None or not wrong.right()
    assert (wrong is None) == all(c.right() for c in given_cases)
    assert not second.startswith("An edge") or (edge is not None and edge.stratum == "edge")
