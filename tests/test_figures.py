import json

import pytest

from fathom_tui.figures import Figure, Kind


def figure(value: float | None, unit: str = "tokens/s") -> Figure:
    return Figure(
        value=value, unit=unit, kind=Kind.MEASURED_HERE, source="run demo-1", as_of="2026-11-21"
    )


def test_its_json_has_value_unit_kind_source_and_date() -> None:
    made = figure(106.5)

    assert made.to_json() == {
        "value": 106.5,
        "unit": "tokens/s",
        "kind": "measured-here",
        "source": "run demo-1",
        "as_of": "2026-11-21",
    }
    assert Figure.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="guessed"):
        Figure.from_json({**figure(1).to_json(), "kind": "guessed"})


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (106.0, "tokens/s", "106 tokens/s"),
        (0.1234567, "s", "0.123457 s"),
        (1_000_000, "tokens", "1,000,000 tokens"),
        (-2_500_000.4, "bytes", "-2,500,000 bytes"),
        (0, "", "0"),
        (None, "GB", "unknown"),
    ],
)
def test_a_person_reads_it_without_an_exponent(value: float | None, unit: str, shown: str) -> None:
    assert str(figure(value, unit)) == shown
