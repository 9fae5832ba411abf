import json
import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fathom_tui.runner.base_model import BaseModel
from fathom_tui.store import Home, Journal, Store
from tests.runner.test_losses import TEXT
from tests.runner.test_quantize import job_of
from tests.running import fathom

pytestmark = pytest.mark.slow

FIGURE = {"value", "unit", "kind", "source", "as_of"}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "held-out.txt"
    path.write_text(TEXT[:900], "utf-8")
    return path


@pytest.fixture
def exported(home: Home, base: BaseModel, tiny: Path, tmp_path: Path) -> str:
    """Return a run that has got as far as its 16-bit file."""
    home.prepare()
    source = tmp_path / "rows.csv"
    source.write_text("text,label\nhello,card\n", "utf-8")
    slug = Store(home).create_engagement("Acme", {"dataset": str(source)})
    run_id = Store(home).reserve_run(slug)
    job = job_of(base, tiny, home.run(run_id), rows=6, quantization="Q5_K_M")
    plan = replace(job.plan, dataset=str(source))
    with Journal(home.run_journal(run_id)) as journal:
        journal.append("run_created", {"run": run_id, "engagement": slug, "config": plan.to_json()})
        for stage, result in job.results.items():
            journal.append("stage_started", {"stage": stage, "input_hash": "a"})
            journal.append(
                "stage_finished",
                {"stage": stage, "state": "done", "seconds": 1.0, "result": dict(result)},
            )
    return run_id


def test_a_file_is_measured_and_shown_as_table_and_plot(
    home: Home, tiny: Path, text: Path, tmp_path: Path
) -> None:
    svg = tmp_path / "ladder.svg"

    done = fathom(
        home, "quantize", str(tiny), "--text", str(text), "--types", "Q8_0,Q4_K_M", "--svg",
        str(svg),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "tokens scored in chunks of 64" in lines[0]
    assert lines[2].split()[:3] == ["type", "size", "bits"]
    assert [line.split()[0] for line in lines[3:6]] == ["F16", "Q8_0", "Q4_K_M"]
    assert "rise of perplexity, 95 %" in done.stdout
    assert lines[-1].endswith("ships.") or "of those measured" in lines[-1]
    assert ElementTree.fromstring(svg.read_text("utf-8")).tag.endswith("svg")
    assert f"Written: {svg}" in done.stderr
    assert list((home.cache).iterdir()) == []


def test_the_measured_ladder_as_json(home: Home, tiny: Path, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "quantised"
    out.mkdir()

    done = fathom(
        home, "quantize", str(tiny), "--text", str(text), "--types", "q8_0", "--out", str(out),
        "--json",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["wanted"], found["ships"], found["imatrix"]) == ("Q4_K_M", "Q8_0", False)
    f16, q8 = found["rungs"]
    assert (f16["type"], f16["band"], f16["file"]) == ("F16", None, None)
    assert f16["rise"]["value"] is None
    assert q8["bytes"]["value"] == Path(q8["file"]).stat().st_size
    assert [path.name for path in out.iterdir()] == [Path(q8["file"]).name]
    for name in ("bytes", "perplexity", "rise", "kl_divergence", "same_top", "tokens_per_s"):
        assert set(q8[name]) == FIGURE
        assert q8[name]["kind"] == "measured-here"


def test_a_run_is_measured_on_its_own_rows_from_its_own_type_on(home: Home, exported: str) -> None:
    done = fathom(home, "quantize", exported, "--types", "Q5_K_M,Q8_0", "--imatrix", "--json")

    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert (found["subject"], found["wanted"], found["imatrix"]) == (exported, "Q5_K_M", True)
    assert [rung["type"] for rung in found["rungs"]] == ["F16", "Q8_0", "Q5_K_M"]
    assert "importance matrix over" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said", "fix"),
    [
        (("nowhere.gguf", "--text", "{text}"), "There is no file nowhere.gguf", "16-bit GGUF"),
        (("{tiny}",), "brings no text to judge by", "Add --text FILE"),
        (("{tiny}", "--text", "{text}", "--imatrix"), "no training rows", "Add --imatrix FILE"),
        (
            ("{tiny}", "--text", "{text}", "--imatrix", "{text}"),
            "guide quantising and judge",
            "rows",
        ),
        (("{tiny}", "--text", "{text}", "--types", "Q9"), "There is no type 'Q9'", "Q2_K,Q3_K_M"),
        (("{tiny}", "--text", "none.txt"), "There is no file none.txt", "UTF-8"),
        (("{tiny}", "--text", "{text}", "--out", "none"), "no directory none", "mkdir none"),
        (("{tiny}", "--text", "{text}", "--svg", "none/a.svg"), "no directory", "Make it first"),
        (("acme-7",), "There is no run 'acme-7'", ""),
    ],
)
def test_what_cannot_be_measured_is_told_with_the_way_out(
    home: Home, tiny: Path, text: Path, arguments: tuple[str, ...], said: str, fix: str
) -> None:
    given = [argument.format(tiny=tiny, text=text) for argument in arguments]

    done = fathom(home, "quantize", *given)

    assert done.returncode == 2, done.stderr
    assert said.lower() in done.stderr.lower()
    assert fix in done.stderr
    assert done.stdout == ""


def test_a_run_without_its_file_is_told_how_to_get_it(home: Home, exported: str) -> None:
    os.remove(home.run(exported) / "export" / "model.f16.gguf")

    done = fathom(home, "quantize", exported)

    assert done.returncode == 2
    assert f"Run {exported} has no 16-bit GGUF any more." in done.stderr
    assert f"fathom resume {exported}" in done.stderr


def test_too_short_a_text_could_not_be_checked(home: Home, tiny: Path, text: Path) -> None:
    text.write_text("Far too short.", "utf-8")

    done = fathom(home, "quantize", str(tiny), "--text", str(text), "--types", "Q8_0")

    assert done.returncode == 3
    assert "fewer than two chunks of 64" in done.stderr


def test_what_a_killed_command_left_is_deleted_by_the_next_one(home: Home, tiny: Path) -> None:
    home.prepare()
    (home.cache / "ladder-999999999-x").mkdir()
    (home.cache / "ladder-999999999-x" / "f16.logits").touch()
    alive = home.cache / f"ladder-{os.getpid()}-y"
    alive.mkdir()

    fathom(home, "quantize", str(tiny))

    assert [path.name for path in home.cache.iterdir()] == [alive.name]
