"""The reports as files, to look at: `python -m tests.reports.goldens` writes them anew."""

from collections.abc import Callable
from pathlib import Path

from fathom_tui.reports.audit import Evidence, Trial, Waived, audit
from fathom_tui.reports.email import email
from fathom_tui.reports.markdown import to_markdown
from fathom_tui.reports.memo import memo
from fathom_tui.reports.page import to_html
from tests.reports.subjects import FOUR, PRIYA, UNREGULATED

FOLDER = Path(__file__).with_name("golden")
EVIDENCE = Evidence(
    trials=(
        Trial(run="acme-2", state="done", verdict="pass", headline="Fit to ship: 0.91."),
        Trial(run="acme-1", state="refused", verdict=None, headline=None),
    ),
    waived=(
        Waived(run="acme-2", gate="data.floor", by="Ann", reason="a pilot of 300", on="2026-04-18"),
    ),
    test_openings=1,
)
GOLDENS: dict[str, Callable[[], str]] = {
    "memo-regulated.md": lambda: to_markdown(memo(PRIYA)),
    "memo-regulated.html": lambda: to_html(memo(PRIYA)),
    "memo-unregulated.md": lambda: to_markdown(memo(UNREGULATED)),
    "memo-unregulated.html": lambda: to_html(memo(UNREGULATED)),
    "memo-four.md": lambda: to_markdown(memo(FOUR)),
    "email-regulated.md": lambda: to_markdown(email(PRIYA)),
    "audit-unregulated.md": lambda: to_markdown(audit(UNREGULATED, EVIDENCE)),
    "audit-unregulated.html": lambda: to_html(audit(UNREGULATED, EVIDENCE)),
    "crossover.svg": lambda: memo(UNREGULATED).pictures[0].svg + "\n",
}


def main() -> None:
    """Write every file anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, made in GOLDENS.items():
        (FOLDER / name).write_text(made(), "utf-8")


if __name__ == "__main__":
    main()
