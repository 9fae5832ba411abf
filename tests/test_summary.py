import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fathom_tui.commands.follow import score_tables
from fathom_tui.events import Event
from fathom_tui.runs import RunView, fold
from fathom_tui.summary import facts, score_rows, summary

PARTS = ("category", "urgency", "amount_gbp", "action")


def score(value: float, *, fields: tuple[str, ...] = PARTS) -> dict[str, Any]:
    return {
        "value": value,
        "low": round(value - 0.05, 4),
        "high": round(value + 0.05, 4),
        "n": 64,
        "parts": dict.fromkeys(fields, value),
    }


EVALUATED: Mapping[str, Any] = {
    "scores": {
        "untuned": score(0.21),
        "prompt": score(0.33),
        "nearest_shots": score(0.5),
        "plain_code": score(0.7, fields=("category", "urgency", "action")),
        "tuned": score(0.83),
        "quantised": score(0.82),
    },
    "free_valid": {"untuned": 0.0, "prompt": 0.5, "tuned": 1.0, "quantised": 1.0},
    "prompt_tokens": {"untuned": 210, "prompt": 903, "tuned": 61, "quantised": 61},
    "target": {"value": 0.6, "baseline": 0.33, "rule": "floor", "explained": "0.600, the floor"},
    "verdict": "pass",
    "headline": "Fit to ship: 0.820 against 0.330 of the best static prompt.",
    "cheaper": [],
}
RESULTS: Mapping[str, Mapping[str, Any]] = {
    "quantize": {
        "type": "Q4_K_M",
        "bytes": 105_454_432,
        "f16_bytes": 270_885_792,
        "effective_bits": 6.165,
    },
    "verify": {
        "perplexity": {
            "f16": 12.3456,
            "quantised": 12.6,
            "rise": 0.02061,
            "low": 0.0112,
            "high": 0.0301,
            "band": "excellent",
        }
    },
    "evaluate": EVALUATED,
    "deploy": {"alias": "demo", "version": "v1", "target": "llama-cpp"},
    "anchors": {"passed": 20, "total": 20},
}


def a_run(results: Mapping[str, Mapping[str, Any]], state: str, **error: str) -> RunView:
    told: list[tuple[str, Mapping[str, Any]]] = [
        ("run_created", {"run": "demo-1", "engagement": "demo", "config": {}}),
        ("attempt", {"number": 1, "pid": 7}),
    ]
    for stage, result in results.items():
        told.append(("stage_started", {"stage": stage}))
        told.append(
            ("stage_finished", {"stage": stage, "state": "done", "seconds": 2.5, "result": result})
        )
    if "quantize" in results:
        file = {"stage": "quantize", "name": "quantised", "path": "quantize/model.q4_k_m.gguf"}
        told.append(("artifact", {**file, "sha256": "ab" * 32, "bytes": 105_454_432}))
    told.append(("run_finished", {"state": state, "error": error or None}))
    return fold(
        Event(seq=seq, at="2026-11-21T22:51:00.000Z", mono=float(seq), kind=kind, data=data)
        for seq, (kind, data) in enumerate(told, 1)
    )


def test_the_json_of_a_finished_demo_is_what_others_build_on() -> None:
    """Golden: fields may be added to it, none of these may go or change its meaning."""
    found = json.loads(json.dumps(summary(a_run(RESULTS, "done"), Path("/srv/runs/demo-1"))))

    assert found == {
        "run": "demo-1",
        "state": "done",
        "verdict": "pass",
        "headline": "Fit to ship: 0.820 against 0.330 of the best static prompt.",
        "scores": {
            way: {
                "value": value,
                "low": low,
                "high": high,
                "n": 64,
                "parts": {
                    "category": value,
                    "urgency": value,
                    "amount_gbp": value,
                    "action": value,
                },
            }
            for way, value, low, high in (
                ("untuned", 0.21, 0.16, 0.26),
                ("prompt", 0.33, 0.28, 0.38),
                ("tuned", 0.83, 0.78, 0.88),
                ("quantised", 0.82, 0.77, 0.87),
            )
        },
        "alternatives": {
            "nearest_shots": score(0.5),
            "plain_code": score(0.7, fields=("category", "urgency", "action")),
        },
        "target": {
            "value": 0.6,
            "baseline": 0.33,
            "rule": "floor",
            "explained": "0.600, the floor",
        },
        "perplexity": {"f16": 12.3456, "quantised": 12.6},
        "anchors": {"passed": 20, "total": 20},
        "artifacts": {
            "quantised": {
                "path": "/srv/runs/demo-1/quantize/model.q4_k_m.gguf",
                "sha256": "ab" * 32,
                "bytes": 105_454_432,
            }
        },
        "seconds": {
            stage: 2.5 if stage in RESULTS else None
            for stage in (
                "preflight",
                "data",
                "baseline",
                "prompt",
                "train",
                "merge",
                "export",
                "quantize",
                "verify",
                "evaluate",
                "deploy",
                "anchors",
            )
        },
        "error": None,
    }


def test_a_run_that_stopped_early_has_null_where_it_did_not_get() -> None:
    run = a_run({}, "refused", message="100 rows.", fix="Give 100 more.")

    found = summary(run, Path("runs/demo-1"))

    assert found["state"] == "refused"
    for name in (
        "verdict",
        "headline",
        "scores",
        "alternatives",
        "target",
        "perplexity",
        "anchors",
    ):
        assert found[name] is None
    assert found["artifacts"] == {}
    assert found["error"] == {"message": "100 rows.", "fix": "Give 100 more."}
    assert score_rows(run) == []
    assert facts(run) == []


def test_the_table_has_a_row_for_every_way_and_says_what_a_way_cannot_answer() -> None:
    rows = score_rows(a_run(RESULTS, "done"))

    assert [(row.name, row.score, row.free, row.prompt_tokens) for row in rows] == [
        ("untuned model", "0.210 (0.160–0.260)", "0%", "210"),
        ("best static prompt", "0.330 (0.280–0.380)", "50%", "903"),
        ("nearest examples as shots", "0.500 (0.450–0.550)", "", ""),
        ("TF-IDF + logistic regression (3 of 4 fields)", "0.700 (0.650–0.750)", "", ""),
        ("tuned model (f16)", "0.830 (0.780–0.880)", "100%", "61"),
        ("tuned and quantised", "0.820 (0.770–0.870)", "100%", "61"),
    ]
    assert rows[3].parts == {"category": "0.70", "urgency": "0.70", "action": "0.70"}


@pytest.mark.parametrize(("columns", "tables"), [(80, 2), (140, 1)])
def test_the_table_is_cut_in_two_rather_than_short_where_the_terminal_is_narrow(
    columns: int, tables: int
) -> None:
    console = Console(file=io.StringIO(), width=columns, record=True)
    found = score_tables(a_run(RESULTS, "done"), console)
    for table in found:
        console.print(table)

    shown = console.export_text()
    assert len(found) == tables
    assert "0.820 (0.770–0.870)" in shown and "amount_gbp" in shown
    assert "…" not in shown


def test_the_facts_beside_it_name_size_perplexity_and_where_it_is_served() -> None:
    assert facts(a_run(RESULTS, "done")) == [
        ("target", "0.600, the floor (set before training)"),
        ("test cases", "64"),
        ("size", "105 MB Q4_K_M, 6.17 bits per weight in effect (f16: 271 MB)"),
        ("perplexity", "12.35 → 12.60 (+2.1%, +1.1% to +3.0%): excellent"),
        ("anchors", "20 of 20 pass when served"),
        ("served as", "demo v1 by llama-cpp"),
    ]
