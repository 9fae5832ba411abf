from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.recipe import QUANTIZATIONS
from fathom_tui.reports.ladder_chart import HEIGHT, WIDTH, description, ladder_chart
from tests.test_ladder import F16, rung

SVG = "{http://www.w3.org/2000/svg}"


def test_the_chart_has_a_circle_and_a_name_for_each_file() -> None:
    files = [F16, *(rung(name, rise=0.02 * n) for n, name in enumerate(QUANTIZATIONS))]

    tree = ElementTree.fromstring(ladder_chart("a <model> & more", files, "Q4_K_M"))

    texts = [node.text or "" for node in tree.iter(f"{SVG}text")]
    assert len(list(tree.iter(f"{SVG}circle"))) == len(files)
    for file in files:
        assert any(text.startswith(f"{file.type} · ") for text in texts)
    assert "Q4_K_M · 50 tokens/s · ships" in texts
    title = tree.find(f"{SVG}title")
    assert title is not None and title.text == "Quantisations of a <model> & more"


def test_the_description_says_what_the_picture_shows() -> None:
    said = description([F16, rung("Q8_0", rise=0.004)], None)

    assert said == (
        "Rise of perplexity over file size. F16 271 MB; Q8_0 100 MB, perplexity +0.4%. None of "
        "them ships."
    )


@given(st.lists(st.tuples(st.floats(-1, 30), st.integers(1, 10**12)), min_size=1, max_size=7))
def test_points_stay_on_the_picture(files: list[tuple[float, int]]) -> None:
    rungs = [rung("Q4_K_M", rise=rise, size=size) for rise, size in files]

    tree = ElementTree.fromstring(ladder_chart("m", rungs, None))

    for circle in tree.iter(f"{SVG}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= WIDTH
        assert 0 <= float(circle.attrib["cy"]) <= HEIGHT


def test_the_same_ladder_gives_the_same_bytes() -> None:
    assert ladder_chart("m", [F16], None) == ladder_chart("m", [F16], None)
