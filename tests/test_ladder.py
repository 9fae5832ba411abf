import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.divergence import Divergence
from fathom_tui.ladder import (
    HEADINGS,
    Rung,
    cells,
    chosen,
    height,
    megabytes,
    plot,
    remarks,
    table,
    upwards,
)
from fathom_tui.perplexity import PerplexityChange
from fathom_tui.recipe import QUANTIZATIONS


def rung(
    type_: str, *, rise: float | None, size: int = 100_000_000, pace: float | None = 50.0
) -> Rung:
    change = divergence = None
    if rise is not None:
        change = PerplexityChange(
            f16=10.0, quantised=10 * (1 + rise), rise=rise, low=rise - 0.02, high=rise + 0.02,
            tokens=1016,
        )  # fmt: skip
        divergence = Divergence(
            mean=0.04, error=0.002, percentiles={0.5: 0.03}, least=0.0, most=0.4, same_top=0.9,
            same_top_error=0.01, tokens=1016,
        )  # fmt: skip
    return Rung(
        type=type_,
        bytes=size,
        effective_bits=4.85,
        perplexity=10.0 * (1 + (rise or 0.0)),
        change=change,
        divergence=divergence,
        tokens_per_s=pace,
    )


F16 = rung("F16", rise=None, size=271_000_000, pace=20)


class TestTheClimb:
    def test_begins_at_the_wanted_type_and_goes_up(self) -> None:
        assert upwards("Q4_K_M") == ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
        assert upwards("Q8_0") == ("Q8_0",)

    def test_takes_the_wanted_type_where_its_band_allows(self) -> None:
        ladder = [F16, rung("Q8_0", rise=0.0), rung("Q4_K_M", rise=0.1), rung("Q2_K", rise=0.01)]

        found = chosen(ladder, "Q4_K_M")

        assert found is not None and found.type == "Q4_K_M"

    def test_passes_over_what_is_refused_at_its_upper_bound(self) -> None:
        ladder = [rung("Q4_K_M", rise=0.29), rung("Q5_K_M", rise=0.27), rung("Q8_0", rise=0.0)]

        found = chosen(ladder, "Q4_K_M")

        assert found is not None and found.type == "Q5_K_M"

    def test_passes_over_what_was_not_measured(self) -> None:
        found = chosen([rung("Q4_K_M", rise=0.9), rung("Q8_0", rise=0.0)], "Q4_K_M")

        assert found is not None and found.type == "Q8_0"

    def test_ends_with_nothing_where_all_are_refused(self) -> None:
        assert chosen([F16, rung("Q6_K", rise=0.5), rung("Q8_0", rise=0.4)], "Q4_K_M") is None

    def test_a_rise_that_is_no_number_is_refused(self) -> None:
        assert chosen([rung("Q8_0", rise=math.nan)], "Q2_K") is None

    @given(st.dictionaries(st.sampled_from(QUANTIZATIONS), st.floats(-0.5, 2)))
    def test_never_takes_less_than_wanted_nor_a_refused_file(self, rises: dict[str, float]) -> None:
        found = chosen([rung(name, rise=rise) for name, rise in rises.items()], "Q4_K_M")

        accepted = [n for n in upwards("Q4_K_M") if n in rises and rises[n] + 0.02 <= 0.30]
        assert (found.type if found else None) == (accepted[0] if accepted else None)


class TestTheTable:
    def test_has_a_row_for_each_file_and_an_arrow_where_it_ships(self) -> None:
        lines = table([F16, rung("Q4_K_M", rise=0.051)], "Q4_K_M").splitlines()

        assert lines[0].split()[:3] == ["type", "size", "bits"]
        assert lines[1].split() == ["F16", "271", "MB", "4.85", "10.000", "20"]
        assert lines[2] == (
            "Q4_K_M ←  100 MB  4.85      10.510  +5.1%  +3.1% to +7.1%  0.0400     90.0%        50"
            "  acceptable"
        )

    def test_leaves_blank_what_was_not_measured(self) -> None:
        row = cells(rung("Q8_0", rise=0.0, pace=None))

        assert len(row) == len(HEADINGS)
        assert row[HEADINGS.index("tokens/s")] == ""

    @pytest.mark.parametrize(
        ("size", "said"), [(105_453_984, "105 MB"), (4_920_000_000, "4.92 GB"), (4, "0 MB")]
    )
    def test_names_sizes_as_people_do(self, size: int, said: str) -> None:
        assert megabytes(size) == said


class TestThePlot:
    def test_fits_into_eighty_columns_with_one_line_a_file(self) -> None:
        files = [F16, *(rung(name, rise=0.03 * n) for n, name in enumerate(QUANTIZATIONS))]

        lines = plot(files, "Q4_K_M").splitlines()

        assert len(lines) == len(files) + 2
        assert max(map(len, lines)) <= 80
        assert [line.split()[0] for line in lines[2:]] == [file.type for file in files]

    def test_fills_the_point_of_what_ships(self) -> None:
        lines = plot([rung("Q8_0", rise=0.0), rung("Q4_K_M", rise=0.1)], "Q4_K_M").splitlines()

        assert "○" in lines[2] and "●" not in lines[2]
        assert "●" in lines[3] and "○" not in lines[3]

    def test_puts_a_point_into_the_lane_of_its_band(self) -> None:
        header, *lines = plot(
            [rung(str(rise), rise=rise) for rise in (0.02, 0.10, 0.20, 0.40)], None
        ).splitlines()[1:]

        bounds = [place for place, letter in enumerate(header) if letter == "│"]
        lanes = [sum(line.index("○") > bound for bound in bounds) for line in lines]
        assert lanes == [0, 1, 2, 3]

    @given(st.lists(st.floats(-2, 50), min_size=1, max_size=7))
    def test_is_drawn_for_any_rise(self, rises: list[float]) -> None:
        drawn = plot([rung("Q4_K_M", rise=rise, pace=None) for rise in rises], None)

        assert drawn.count("○") == len(rises)

    @given(st.floats(-1, 9), st.floats(-1, 9), st.floats(0, 9))
    def test_worse_is_never_drawn_as_better(self, one: float, other: float, most: float) -> None:
        low, high = sorted((one, other))

        assert 0 <= height(low, most=most) <= height(high, most=most) <= 4


def test_a_fall_of_perplexity_is_not_sold_as_a_gain() -> None:
    assert remarks([F16, rung("Q4_K_M", rise=0.1), rung("Q6_K", rise=-0.03)]) == ()

    (said,) = remarks([rung("Q3_K_M", rise=-0.144)])
    assert "for Q3_K_M" in said and "not a better model" in said


def test_a_rung_survives_its_file() -> None:
    for one in (F16, rung("Q4_K_M", rise=0.05), replace(F16, fallback_tensors=180)):
        again = Rung.from_json(json.loads(json.dumps(one.to_json())))

        assert again.to_json() == one.to_json()
        assert again.band == one.band
