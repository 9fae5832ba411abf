from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom_tui.advice import POUNDS, Advice, advise
from fathom_tui.reports.chart import HEIGHT, WIDTH, crossover_chart
from fathom_tui.workload import Workload
from tests.advising import FLASH, SETTING
from tests.reports.subjects import CONTRACTS, SUPPORT, TRIAGE, UNMEASURED

SVG = "{http://www.w3.org/2000/svg}"


def drawn(advice: Advice) -> ElementTree.Element:
    return ElementTree.fromstring(crossover_chart(advice, POUNDS))


def texts(root: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in root.iter(f"{SVG}text")]


def numbers(root: ElementTree.Element) -> Iterator[tuple[float, float]]:
    """Yield every point of a line or mark."""
    for line in root.iter(f"{SVG}polyline"):
        for point in line.attrib["points"].split():
            x, y = point.split(",")
            yield float(x), float(y)
    for mark in root.iter(f"{SVG}circle"):
        yield float(mark.attrib["cx"]), float(mark.attrib["cy"])


def test_chart_has_title_and_description_for_who_does_not_see_it() -> None:
    root = drawn(advise(SUPPORT, SETTING))

    assert root.attrib["role"] == "img"
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert "from cloud to hybrid at 5.64M and from hybrid to local at 10.1M" in (root[1].text or "")


def test_chart_marks_the_workload_and_where_the_cheapest_way_changes() -> None:
    found = texts(drawn(advise(SUPPORT, SETTING)))

    assert "this workload: 8M" in found
    assert {"cloud → hybrid at 5.64M", "hybrid → local at 10.1M"} <= set(found)


def test_chart_shades_what_is_beyond_the_capacity() -> None:
    assert "grey: over one machine's capacity of 77.8M" in texts(drawn(advise(CONTRACTS, SETTING)))
    assert not any("capacity" in text for text in texts(drawn(advise(SUPPORT, UNMEASURED))))


def test_lines_differ_without_colour() -> None:
    root = drawn(advise(TRIAGE, SETTING))

    lines = list(root.iter(f"{SVG}polyline"))
    looks = {(each.attrib.get("stroke-dasharray"), each.attrib["stroke-width"]) for each in lines}
    assert len(looks) == len(lines) == 4


def test_regulated_chart_shows_the_bill_without_compliance_too() -> None:
    assert "API bill alone" in texts(drawn(advise(TRIAGE, SETTING)))
    assert "API bill alone" not in texts(drawn(advise(SUPPORT, SETTING)))


def test_equal_advice_gives_equal_bytes() -> None:
    assert crossover_chart(advise(SUPPORT, SETTING), POUNDS) == crossover_chart(
        advise(SUPPORT, SETTING), POUNDS
    )


@pytest.mark.parametrize("tokens", [1.0, 1e15])
def test_chart_of_the_least_and_the_most_volume_is_drawn(tokens: float) -> None:
    assert drawn(advise(Workload(tokens_per_day=tokens), SETTING)).tag == f"{SVG}svg"


def test_chart_of_a_free_api_is_drawn() -> None:
    free = replace(SETTING, price=replace(FLASH, input_usd=0, output_usd=0))

    assert (
        "cloud is the cheapest at every volume"
        in (drawn(advise(SUPPORT, free))[1].text or "").lower()
    )


@given(
    tokens=st.floats(1, 1e15),
    share=st.floats(0, 1),
    regulated=st.booleans(),
    price=st.just(0.0) | st.floats(1e-6, 1e4),
)
@settings(max_examples=60)
def test_everything_stays_on_the_picture(
    tokens: float, share: float, regulated: bool, price: float
) -> None:
    workload = Workload(
        tokens_per_day=tokens, input_share=share, regulations=("gdpr",) if regulated else ()
    )
    setting = replace(SETTING, price=replace(SETTING.price, input_usd=price, output_usd=price))

    for x, y in numbers(drawn(advise(workload, setting))):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
