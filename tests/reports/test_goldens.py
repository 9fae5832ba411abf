import pytest

from tests.reports.goldens import FOLDER, GOLDENS


@pytest.mark.parametrize("name", GOLDENS)
def test_report_is_what_it_was(name: str) -> None:
    """Golden: look at the difference; if it is wanted, `python -m tests.reports.goldens`."""
    assert GOLDENS[name]() == (FOLDER / name).read_text("utf-8")


def test_every_golden_has_its_report() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(GOLDENS)
