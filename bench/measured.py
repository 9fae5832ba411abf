"""The README's section of figures, made from bench/results so that it cannot drift.

python bench/measured.py            prints it
python bench/measured.py --write    puts it into README.md, between its marks
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from results import RESULTS

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- bench/measured.py -->\n", "<!-- end -->\n"
WAYS = {
    "untuned": "Untuned model, constrained",
    "prompt": "Best static prompt",
    "nearest_shots": "Nearest examples as shots",
    "plain_code": "TF-IDF + logistic regression",
    "tuned": "LoRA-tuned, f16",
    "quantised": "LoRA-tuned, Q4_K_M",
}


def main() -> int:
    """Print the section, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if not given.write:
        print(section())
        return 0
    before, _, rest = README.read_text("utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        print(f"error: {README} lacks the marks {BEGIN!r} and {END!r}", file=sys.stderr)
        return 1
    README.write_text(before + BEGIN + section() + END + after, "utf-8")
    return 0


def section() -> str:
    """Return the section as Markdown."""
    demo, triage = _result("demo"), _result("triage")
    return f"""
Measured on {demo["machine"]}, {demo["date"]}; the figures are in `bench/results/`, the
scripts in `bench/`.

**The demo**: tickets of an invented fintech become JSON with four fields. The score is the mean of
macro F1 over category, urgency and action and of exact amounts; in brackets 95 % intervals over
{demo["scores"]["tuned"]["n"]} unread test tickets. Plain code answers the three labels only.

{_scores(demo)}

{_demo_facts(demo)}

**Real messages**: Banking77 mapped to eight classes; {triage["rows"]["train"]:,} messages to train
on, less those too like a test message; judged on {triage["scores"]["tuned"]["n"]} of its stock test
file; macro F1.

{_scores(triage)}

{_triage_facts(triage)}

**The program**

{_program()}
"""


def _scores(result: dict[str, Any]) -> str:
    scores = {**result["scores"], **result["alternatives"]}
    lines = ["| way to answer | score (95 %) |", "|---|---|"]
    lines += [
        f"| {label} | {s['value']:.3f} ({s['low']:.3f}–{s['high']:.3f}) |"
        for way, label in WAYS.items()
        if (s := scores.get(way)) is not None
    ]
    return "\n".join(lines)


def _demo_facts(demo: dict[str, Any]) -> str:
    rise = demo["perplexity"]["quantised"] / demo["perplexity"]["f16"] - 1
    anchors = demo["anchors"]
    return (
        f"Verdict: {demo['headline']} Perplexity moves by {rise:+.1%} when quantised, "
        f"{anchors['passed']} of {anchors['total']} anchors pass when served."
    )


def _triage_facts(triage: dict[str, Any]) -> str:
    minutes = triage["minutes"]
    return (
        f"Verdict: {triage['headline']} {sum(minutes.values()):.0f} minutes from start to served "
        f"model, {minutes['train']:.1f} of them training. {triage['data']}"
    )


def _program() -> str:
    startup, paint = _result("startup"), _result("first_paint")
    idle, writers = _result("idle_cpu"), _result("four_writers")
    cost, tickets = _result("orchestration"), _result("tickets")
    ratios = cost["median_ratio_to"]
    longest = max(writers[way]["longest_wait_s"] for way in ("record", "record_and_query"))
    alike = tickets["most_alike_pair"]["similarity"]
    other = tickets["most_alike_to_banking77"]["similarity"]
    demo, quick, triage = _result("demo"), _result("demo-quick"), _result("triage")
    peak = max(*demo["peak_memory_gb"].values(), *quick["peak_memory_gb"].values())
    rows = [
        ("`fathom demo`, start to end", f"{demo['minutes']:.1f} min", "6 min"),
        ("`fathom demo --quick`", f"{quick['minutes']:.1f} min", "3 min"),
        ("largest process of either", f"{peak:.1f} GB", "3 GB"),
        ("training on Banking77", f"{triage['minutes']['train']:.1f} min", "8 min"),
        ("`fathom --help`, median", _ms(startup["help"]["median_s"]), "80 ms"),
        ("`fathom runs --json`, median", _ms(startup["runs_json"]["median_s"]), "180 ms"),
        ("first paint, median", _ms(paint["nothing"]["median_s"]), "250 ms"),
        ("– an empty Textual app beside it", _ms(paint["textual_alone"]["median_s"]), ""),
        ("idle screen, share of a core", f"{idle['engagements']['cpu_percent']:.2f} %", "0.5 %"),
        ("four processes writing for 10 s, longest wait", f"{longest:.2f} s", "0.5 s"),
        (
            "training supervised, against a plain TRL script",
            f"{ratios['plain']:.2f}",
            "1.03",
        ),
        ("– against the same training unsupervised", f"{ratios['unsupervised']:.2f}", "1.03"),
        ("demo tickets: most alike pair", f"{alike:.2f}", "below 0.5"),
        ("– most alike to any Banking77 message", f"{other:.2f}", "below 0.6"),
    ]
    rows += _advisor() + _watch()
    lines = ["| what | measured | wanted |", "|---|---|---|"]
    return "\n".join(lines + [f"| {what} | {found} | {wanted} |" for what, found, wanted in rows])


def _advisor() -> list[tuple[str, str, str]]:
    advise, matrix, screens = _result("advise"), _result("matrix"), _result("advisor-screens")
    memory, training = _result("memory"), _result("training_memory")
    slowest = max(advise["key_to_paint"][size]["p95_ms"] for size in ("80x24", "140x40"))
    keys = {
        name: max(screens[name][size]["p95_ms"] for size in ("80x24", "140x40"))
        for name in ("models", "hardware")
    }
    cells = f"{matrix['devices']} devices x {matrix['models']} models"
    return [
        ("the whole advice, median", f"{advise['advice_median_ms']:.2f} ms", "5 ms"),
        ("a sweep of 10,000 volumes", f"{advise['sweep_s']:.2f} s", "1 s"),
        (f"fit of {cells}, median", _ms(matrix["matrix"]["median_s"]), "50 ms"),
        ("key to paint, Advise, 95th percentile", f"{slowest:.0f} ms", "60 ms"),
        ("– Models", f"{keys['models']:.0f} ms", "60 ms"),
        ("– Hardware, the whole matrix", f"{keys['hardware']:.0f} ms", "100 ms"),
        (
            "KV cache equal to llama.cpp's report",
            f"{memory['kv_cache_equal']} of {memory['of']}",
            "all",
        ),
        ("weights against real files, worst", f"{memory['weights_worst_percent']:.1f} %", "1 %"),
        (
            "training memory against counted tensors, worst",
            f"{training['worst_percent']:.1f} %",
            "10 %",
        ),
    ]


def _watch() -> list[tuple[str, str, str]]:
    perplexity, export, deploy = _result("perplexity"), _result("export"), _result("deploy")
    health, screen, units = _result("health"), _result("health_screen"), _result("units")
    sizes = [screen[size] for size in ("80x24", "140x40")]
    again = max(size["shown_again"]["median_ms"] for size in sizes)
    news = max(size["after_a_check"]["median_ms"] for size in sizes)
    first, plain = (
        max(size[name]["median_ms"] for size in sizes)
        for name in ("first_shown", "errata_first_shown")
    )
    same = "every digit" if perplexity["equal"] else "differs"
    slowest = max(deploy[name]["median_s"] for name in ("llama-cpp", "ollama"))
    return [
        ("perplexity and KL divergence against llama.cpp's own tool", same, "every digit"),
        ("export and quantise, rate of the bare tools", f"{export['rate']:.2f}", "0.80"),
        ("a full deploy: create, anchors, alias, anchors", f"{slowest:.0f} s", "30 s"),
        (
            "health of 20 anchors, beside the requests",
            f"{health['in_process_overhead']:.1%}",
            "5 %",
        ),
        ("– the command", f"{health['command_overhead_s']:.2f} s", "0.4 s"),
        ("Health over 10,000 checks, shown again", f"{again:.0f} ms", "150 ms"),
        ("– after a new check", f"{news:.0f} ms", "150 ms"),
        ("– opened for the first time", f"{first:.0f} ms", ""),
        ("– – beside it Errata, which asks no ledger", f"{plain:.0f} ms", ""),
        ("systemd exposure of the units, worst", f"{units['worst']:.1f}", "2.0"),
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _result(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return data


if __name__ == "__main__":
    sys.exit(main())
