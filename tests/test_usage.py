"""`usage.md` before an engineer who has never seen the model."""

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.checklist import Item, checklist
from fathom_tui.package import Delivery, ScoredCase
from fathom_tui.reports.document import Code, Document
from fathom_tui.reports.markdown import to_markdown
from fathom_tui.reports.usage import examples, measured_on, usage, weakest
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
    "Be told when the daily check fails",
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


def commands(delivery: Delivery, having: str) -> str:
    """Return the one block of commands with that text in it."""
    (found,) = (c for c in codes(usage(delivery, "0.3.36")) if having in c and "\n" in c)
    return found


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A home below which commands are typed, where no command changes this machine."""
    (tmp_path / "bin").mkdir()
    for name in ("systemctl", "loginctl"):
        _command(tmp_path, name, "exit 0")
    return tmp_path


def _command(home: Path, name: str, does: str) -> None:
    path = home / "bin" / name
    path.write_text(f"#!/bin/sh\n{does}\n", "utf-8")
    path.chmod(0o755)


def typed(home: Path, text: str) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "USER": "ann", "PATH": f"{home}/bin:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", "-c", text], cwd=home, env=environment, capture_output=True, text=True, timeout=30
    )


def unit(home: Path, name: str) -> list[str]:
    return (home / ".config/systemd/user" / name).read_text("utf-8").splitlines()


def test_the_daily_check_starts_after_the_server_and_makes_itself_heard(
    delivery: Delivery, shell: Path
) -> None:
    made = typed(shell, commands(delivery, "acme-anchors.timer <<UNIT"))
    told = typed(shell, commands(delivery, "OnFailure="))

    assert (made.returncode, told.returncode) == (0, 0), made.stderr + told.stderr
    assert {"Wants=acme.service", "After=acme.service"} < set(unit(shell, "acme-anchors.service"))
    assert unit(shell, "acme-anchors.service.d/failed.conf") == [
        "[Unit]",
        "OnFailure=acme-failed.service",
    ]
    lines = unit(shell, "acme-failed.service")
    ways = [shlex.split(line.partition("ExecStart=")[2]) for line in lines if "ExecStart=" in line]
    assert [Path(words[0]).name for words in ways] == ["logger", "sh", "curl"]
    assert json.loads(ways[2][ways[2].index("-d") + 1])["text"] == "acme: the daily check failed"


@pytest.mark.parametrize(("code", "state"), [(0, 0), (1, 2), (3, 3)])
def test_a_monitor_hears_a_failed_check_as_critical(
    delivery: Delivery, shell: Path, code: int, state: int
) -> None:
    _command(shell, "python3", f"echo ok; echo THE END; exit {code}")

    done = typed(shell, commands(delivery, "code=$?"))

    assert (done.returncode, done.stdout) == (state, "THE END\n")


def test_a_reboot_keeps_the_gpu(delivery: Delivery, shell: Path) -> None:
    typed(shell, commands(delivery, "acme-anchors.timer <<UNIT"))
    lines = commands(delivery, "CMAKE_ARGS").splitlines()
    change = next(line for line in lines if line.startswith("sed"))

    assert lines[0].startswith("systemctl --user stop acme.service")
    assert typed(shell, f"{change} && {change}").returncode == 0

    (line,) = (line for line in unit(shell, "acme.service") if line.startswith("ExecStart="))
    shown = next(c for c in codes(usage(delivery, "0.3.36")) if c.startswith("ExecStart="))
    assert line == shown.replace("…", str(shell))
    assert line.count("--n_gpu_layers -1") == 1


def test_units_are_those_that_systemd_takes(delivery: Delivery, shell: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("needs systemd-analyze")
    (shell / ".venv" / "bin").mkdir(parents=True)
    _command(shell, "../.venv/bin/python", "exit 0")
    typed(shell, commands(delivery, "acme-anchors.timer <<UNIT"))
    typed(shell, commands(delivery, "OnFailure="))
    units = sorted((shell / ".config/systemd/user").glob("acme*.*er"))
    failed = shell / ".config/systemd/user/acme-failed.service"
    failed.write_text(failed.read_text("utf-8").replace("#ExecStart", "ExecStart"), "utf-8")
    shell.joinpath("run").mkdir()

    done = subprocess.run(
        [tool, "--user", "--man=no", "verify", *map(str, [*units, failed])],
        env={**os.environ, "HOME": str(shell), "XDG_RUNTIME_DIR": str(shell / "run")},
        capture_output=True,
        text=True,
        timeout=30,
    )

    said = [line for line in done.stderr.splitlines() if str(shell) in line]
    absent = "is not executable"  # logger or curl, which this machine need not have
    assert [line for line in said if absent not in line] == []


def test_says_whose_words_the_instruction_is(delivery: Delivery) -> None:
    whole = replace(delivery, plan=replace(delivery.plan, instruction=SYSTEM))
    text, same = (to_markdown(usage(d, "0.3.36")) for d in (delivery, whole))

    assert "an untrained model is prompted with them:\n\n“Say whether the message is" in text
    assert "it is told only the system text under “Prompt format”" in text
    assert f"The instruction that it was trained with:\n\n“{SYSTEM}”" in same


@pytest.mark.parametrize(
    ("recorded", "said"),
    [("1 cores AMD EPYC", "1 core AMD EPYC"), ("11 cores X", "11 cores X"), ("1 x H200",) * 2],
)
def test_one_core_is_not_several(recorded: str, said: str) -> None:
    assert measured_on({"hardware": recorded}) == said


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
