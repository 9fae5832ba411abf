"""How long does the matrix of every model on every device take, and one fit?

    python bench/matrix.py [--times 31]

Fit for answering, tokens a second, and three trainings in every cell; the catalog is loaded before.
Target for the matrix: 50 ms, in the median.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from results import keep

from fathom_tui.catalog import load
from fathom_tui.fit import PLANS, Subject, fit, matrix

TARGET_S = 0.05


def main() -> int:
    """Measure both and keep the result; 1 when the matrix took longer than its target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=31, help="how often each is computed")
    times = parser.parse_args().times
    catalog = load()
    quant, model = catalog.quant("q4_k_m"), catalog.model("llama-3.1-8b")
    whole = measure(lambda: matrix(catalog.models, catalog.gpus, quant, context=8_192), times)
    single = measure(
        lambda: fit(Subject.of(model, quant), catalog.gpus, context=8_192, plan=PLANS[0]), times
    )
    keep(
        "matrix",
        {
            "models": len(catalog.models),
            "devices": len(catalog.gpus),
            "target_s": TARGET_S,
            "times": times,
            "matrix": whole,
            "fit": single,
        },
    )
    return 0 if whole["median_s"] <= TARGET_S else 1


def measure(work: Callable[[], object], times: int) -> dict[str, float]:
    """Return the median and the best time, after one run that is not counted."""
    work()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return {"median_s": round(statistics.median(taken), 5), "best_s": round(min(taken), 5)}


if __name__ == "__main__":
    raise SystemExit(main())
