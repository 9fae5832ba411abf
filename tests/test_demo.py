"""The main job through the real command line: a dataset becomes a served, healthy model."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fathom_tui import checklist
from fathom_tui.datasets.cases import read_split
from fathom_tui.stages import STAGE_NAMES
from fathom_tui.store import Home, Store
from tests.running import environment, fathom

pytestmark = [pytest.mark.slow, pytest.mark.first]


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory, embedded_cache: Path) -> Home:
    """A home whose cache already holds the converted base model."""
    home = Home.at(tmp_path_factory.mktemp("demo")).prepare()
    home.cache.rmdir()
    home.cache.symlink_to(embedded_cache)
    return home


@pytest.fixture(scope="module")
def demo(demo_home: Home) -> Iterator[subprocess.CompletedProcess[str]]:
    """`fathom demo --quick --json`, once for all tests of this module."""
    yield fathom(demo_home, "demo", "--quick", "--json", timeout=1200)
    fathom(demo_home, "runner", "stop")


@pytest.fixture(scope="module")
def summary(demo: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The line of JSON it ends with."""
    assert demo.stdout.count("\n") == 1, demo.stderr
    found: dict[str, Any] = json.loads(demo.stdout)
    return found


@pytest.fixture(scope="module")
def finished(demo_home: Home, summary: dict[str, Any]) -> dict[str, Any]:
    """The run taken to its last stage: what 256 rows are too few for is waived, as a person would.

    How well a model of 256 rows answers differs between processors; that the stages work and the
    gates judge does not.
    """
    run = str(summary["run"])
    for _ in range(4):
        found: dict[str, Any] = json.loads(fathom(demo_home, "runs", "--run", run, "--json").stdout)
        refused = [
            gate["name"]
            for stage in found["stages"]
            for gate in stage["gates"]
            if stage["state"] == "refused" and gate["outcome"] == "refuse"
        ]
        if found["state"] != "refused":
            break
        for gate in refused:
            waived = fathom(
                demo_home, "waive", run, gate, "--by", "Ada", "--reason", "a look at what follows"
            )
            assert waived.returncode == 0, waived.stderr
        fathom(demo_home, "resume", run, "--follow", timeout=1200)
    return found


def test_the_exit_code_says_what_the_run_came_to(
    demo: subprocess.CompletedProcess[str], summary: dict[str, Any]
) -> None:
    assert demo.returncode == {"done": 0, "refused": 1}[summary["state"]], demo.stderr
    assert set(summary) >= {"run", "scores", "verdict", "perplexity", "anchors", "artifacts"}


def test_it_ends_with_a_served_model_that_knows_its_anchors(finished: dict[str, Any]) -> None:
    gates = {g["name"]: g for stage in finished["stages"] for g in stage["gates"]}

    assert finished["state"] == "done", finished
    assert gates["deploy.health"]["outcome"] == "pass"
    assert gates["train.stop_token"]["outcome"] == "pass"
    assert gates["verify.token_parity"]["outcome"] == "pass"
    assert gates["evaluate.improvement"]["outcome"] == "pass"


def test_every_stage_ran_and_spoke(
    demo_home: Home, summary: dict[str, Any], finished: dict[str, Any]
) -> None:
    (run,) = json.loads(fathom(demo_home, "runs", "--json").stdout)

    assert run["id"] == summary["run"]
    assert [stage["name"] for stage in run["stages"]] == list(STAGE_NAMES)
    assert {stage["state"] for stage in run["stages"]} == {"done"}
    assert next(s for s in run["stages"] if s["name"] == "data")["verdict"] == "warn"


def test_the_scores_have_intervals_and_tuning_helped(finished: dict[str, Any]) -> None:
    scores = finished["result"]["scores"]
    plain = scores.pop("plain_code")

    assert set(scores) == {"untuned", "prompt", "tuned", "quantised"}
    assert set(plain["parts"]) == {"category", "urgency", "action"}
    for score in scores.values():
        assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
        assert score["n"] == 64
        assert set(score["parts"]) == {"category", "urgency", "amount_gbp", "action"}
    assert scores["quantised"]["low"] > scores["untuned"]["high"]


def test_the_splits_are_disjoint_and_as_recorded(demo_home: Home, summary: dict[str, Any]) -> None:
    directory = demo_home.run(summary["run"]) / "data"
    hashes = json.loads((directory / "manifest.json").read_text("utf-8"))["splits"]
    splits = {
        name: read_split(directory / f"{name}.jsonl", sha256=hashes[name]["sha256"])
        for name in ("train", "validation", "test")
    }

    inputs = [case.input for cases in splits.values() for case in cases]
    assert len(inputs) == len(set(inputs)) == 256 + 32 + 64


def test_every_gate_that_the_checklist_names_is_one_of_a_run(finished: dict[str, Any]) -> None:
    gates = {gate["name"] for stage in finished["stages"] for gate in stage["gates"]}

    assert {name for name, _, _ in checklist.GATED} <= gates


def test_no_message_of_the_data_stands_in_the_ledger(
    demo_home: Home, summary: dict[str, Any], finished: dict[str, Any]
) -> None:
    run = demo_home.run(summary["run"])
    files = (run / "data").glob("*.jsonl")
    written = [json.dumps(case.input, ensure_ascii=False) for f in files for case in read_split(f)]
    journals = [
        path.read_text("utf-8")
        for path in (demo_home.run_journal(summary["run"]), *demo_home.data.rglob("journal.jsonl"))
    ]

    assert len(written) > 256
    assert [text for text in written if any(text[1:-1] in journal for journal in journals)] == []


def test_the_adapter_differs_from_zero(demo_home: Home, summary: dict[str, Any]) -> None:
    load_file = pytest.importorskip("safetensors.numpy").load_file
    adapter = demo_home.run(summary["run"]) / "train" / "adapter"
    weights = load_file(adapter / "adapter_model.safetensors")

    trained = [tensor for name, tensor in weights.items() if "lora_B" in name]
    assert trained
    assert all(abs(tensor).max() > 0 for tensor in trained)


def test_the_stop_token_is_trained_and_the_context_is_not(
    demo_home: Home, summary: dict[str, Any]
) -> None:
    lines = (demo_home.run(summary["run"]) / "train" / "sample.txt").read_text("utf-8").splitlines()
    context = [line for line in lines if line.startswith("[context]")]

    assert lines[-1] == "[trained] '<|im_end|>'"
    assert lines[: len(context)] == context
    assert "".join(lines[len(context) :]).count("[trained]") == len(lines) - len(context)


def test_both_gguf_files_load_and_stop_by_themselves(summary: dict[str, Any]) -> None:
    for name in ("f16", "quantised"):
        path = summary["artifacts"][name]["path"]
        answer = _ask_in_a_child(path, "my card was stolen on the tram")

        assert answer["finish_reason"] == "stop"
        assert set(json.loads(answer["text"])) == {"category", "urgency", "amount_gbp", "action"}


def test_artifacts_are_what_the_ledger_says(demo_home: Home, summary: dict[str, Any]) -> None:
    checked = fathom(demo_home, "store", "check", "--json")

    assert checked.returncode == 0, checked.stderr
    assert {"adapter", "merged", "f16", "quantised", "anchors"} <= set(summary["artifacts"])


def test_the_ledger_counts_one_opening_of_the_test_split_and_one_check(
    demo_home: Home, finished: dict[str, Any]
) -> None:
    store = Store(demo_home)
    (check,) = store.checks("demo-quick")

    assert store.test_openings("demo-quick") == 1
    assert 0.8 * check["total"] <= check["passed"] <= check["total"]


def test_serve_starts_and_stops_what_was_deployed(
    demo_home: Home, finished: dict[str, Any]
) -> None:
    fathom(demo_home, "serve", "demo-quick", "--stop")
    before = fathom(demo_home, "serve", "demo-quick", "--status", "--json")
    started = fathom(demo_home, "serve", "demo-quick", "--json")
    stopped = fathom(demo_home, "serve", "demo-quick", "--stop")

    assert before.returncode == 3
    assert json.loads(started.stdout)["healthy"] is True
    assert stopped.returncode == 0


def _ask_in_a_child(gguf: str, text: str) -> Mapping[str, Any]:
    script = (
        "import json, sys, llama_cpp\n"
        "llm = llama_cpp.Llama(sys.argv[1], n_ctx=512, verbose=False)\n"
        "chat = [{'role': 'system', 'content': 'Triage the Marlow ticket.'},"
        " {'role': 'user', 'content': sys.argv[2]}]\n"
        "choice = llm.create_chat_completion(chat, temperature=0, max_tokens=96)['choices'][0]\n"
        "print(json.dumps({'text': choice['message']['content'],"
        " 'finish_reason': choice['finish_reason']}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, gguf, text],
        capture_output=True,
        text=True,
        check=True,
        env=environment(Home.from_env()),
    )
    answer: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
