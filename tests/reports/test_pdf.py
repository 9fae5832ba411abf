import sys

import pytest

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.reports.audit import audit
from fathom_tui.reports.memo import memo
from fathom_tui.reports.pdf import SIZES_PT, page_count, to_pdf
from fathom_tui.reports.subject import Subject
from tests.reports.goldens import EVIDENCE
from tests.reports.subjects import DATE, FOUR, PRIYA, SUMMARIES, UNREGULATED, subject


@pytest.mark.parametrize("found", [PRIYA, UNREGULATED, FOUR, subject(SUMMARIES, date="2026-11-22")])
def test_memo_of_up_to_four_workloads_fits_on_one_page(found: Subject) -> None:
    pytest.importorskip("typst")
    document = memo(found)

    made = to_pdf(document, DATE, pages=1)

    assert made.startswith(b"%PDF-")
    assert min(page_count(document, DATE, size) for size in SIZES_PT) == 1


def test_equal_reports_are_equal_files() -> None:
    pytest.importorskip("typst")

    assert to_pdf(memo(PRIYA), DATE, pages=1) == to_pdf(memo(PRIYA), DATE, pages=1)


def test_audit_takes_the_pages_it_needs() -> None:
    pytest.importorskip("typst")

    assert page_count(audit(FOUR, EVIDENCE), DATE) > 1


def test_without_typst_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)

    with pytest.raises(EnvironmentProblem, match="Python package typst") as caught:
        to_pdf(memo(PRIYA), DATE, pages=1)

    assert "fathom-tui[report]" in caught.value.fix
