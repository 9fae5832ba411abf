"""The errata: every sum worked out again, every row whole, and what an expression may be."""

import json
import math
import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui import errata
from fathom_tui.errata import LONGEST, Area, Erratum, Sum, evaluate, load, parse
from fathom_tui.errors import UsageError
from fathom_tui.figures import Kind
from fathom_tui.stats import cases_for_half_width, wilson

ROWS = {row.id: row for row in load()}
SUMS = [(row, entry) for row in load() for entry in row.sums]
TEXT = files("fathom_tui.assets").joinpath("catalog", errata.FILE).read_text("utf-8")
ONE = """
[[document]]
id = "book"
name = "A book"

[[errata]]
id = "two"
area = "money"
source = "book, ch. 1"
says = "1 + 1 = 3"
explanation = "It is 2."
as_of = "2026-11-22"
kind = "computed"
arithmetic = "1+1"
value = 2.00
unit = "GBP"
said = 3
"""


def value(row: str, label: str = "") -> float:
    """Return what one of a row's expressions comes to, whatever the row says it does."""
    return evaluate(next(s for s in ROWS[row].sums if s.label.startswith(label)).arithmetic)


class TestRows:
    def test_there_are_as_many_as_the_tables_have(self) -> None:
        # 15 in the first table; 18 of money, 13 of memory and speed, 13 of statistics and procedure
        assert len(load()) == 15 + 18 + 13 + 13
        assert len(ROWS) == len(load())

    @pytest.mark.parametrize(
        ("row", "entry"), SUMS, ids=[f"{row.id}:{entry.label}" for row, entry in SUMS]
    )
    def test_the_arithmetic_gives_the_value_at_its_digits(self, row: Erratum, entry: Sum) -> None:
        assert entry.agrees(), f"{entry.arithmetic} = {evaluate(entry.arithmetic)}"

    def test_none_lacks_both_arithmetic_and_a_conflict(self) -> None:
        assert [row.id for row in load() if not row.sums and not row.conflict] == []

    def test_a_conflict_shows_both_sides(self) -> None:
        for row in load():
            assert (len(row.quotes) >= 2) is row.conflict, row.id

    def test_every_row_says_what_where_when_and_why(self) -> None:
        for row in load():
            assert row.kind is Kind.COMPUTED and re.fullmatch(r"\d{4}-\d\d-\d\d", row.as_of)
            assert all((row.source, row.says, row.explanation)), row.id

    def test_a_row_that_is_no_conflict_shows_the_number_it_corrects_or_its_sum(self) -> None:
        wrong = [s for _, s in SUMS if s.said is not None and s.said != round(s.value, s.digits)]
        assert len(wrong) > 60

    def test_areas_are_all_used(self) -> None:
        assert {row.area for row in load()} == set(Area)

    def test_every_source_is_one_of_five_documents(self) -> None:
        known = {document.id for document in errata.documents()}
        assert len(known) == 5
        for row in load():
            for part in row.source.split("; "):
                assert part.split(",")[0].split(" (")[0] in known

    def test_the_same_rows_are_returned_again(self) -> None:
        assert load() is load()

    def test_json_holds_every_sum_as_a_figure(self) -> None:
        for row in load():
            shown = json.loads(json.dumps(row.to_json()))
            figures = [s["said"] for s in shown["sums"] if s["said"] is not None]
            figures += [s["figure"] for s in shown["sums"]] + [q["figure"] for q in shown["quotes"]]
            for figure in figures:
                assert set(figure) == {"value", "unit", "kind", "source", "as_of"}
            assert shown["id"] == row.id and len(shown["sums"]) == len(row.sums)

    def test_a_figure_names_arithmetic_and_what_it_corrects(self) -> None:
        row = ROWS["rupees-per-hour"]
        assert row.figure(row.sums[0]).source == "4*150 (corrects course module (April 2026))"

    def test_a_number_is_shown_with_its_digits(self) -> None:
        shown = [entry.text() for entry in ROWS["flash-bill"].sums]
        assert shown == ["4.80 USD/month", "48.00 USD/month", "7.50 USD/month"]


class TestNumbers:
    """The same values by another way than the row's own expression."""

    def test_kv_cache_at_32k(self) -> None:
        assert value("kv-cache-32k", "Llama") * 1e9 == 4_294_967_296
        assert value("kv-cache-32k", "Qwen") * 1e9 == 1_879_048_192

    def test_lora_parameters(self) -> None:
        assert value("lora-8b-parameters") == 13_631_488
        assert value("v2-adapter", "rank 16 on q") == 10_092_544
        assert lora(80, 64, 8192, 1024, 28672, mlp=True) == value("rank-shares", "70B, rank 64")
        assert lora(32, 16, 4096, 1024, 14336) == 13_631_488
        assert lora(28, 16, 3584, 512, 18944) == 10_092_544

    def test_mlp_targets_multiply_by_three_and_four(self) -> None:
        shapes = {"Llama": (32, 16, 4096, 1024, 14336), "Qwen": (28, 16, 3584, 512, 18944)}
        for label, shape in shapes.items():
            ratio = lora(*shape, mlp=True) / lora(*shape)
            assert value("mlp-targets", label) == pytest.approx(ratio)

    def test_wilson_intervals_are_those_of_stats(self) -> None:
        seven = wilson(7, 10)
        assert value("seven-of-ten", "7 of 10, lower") == pytest.approx(seven.low, abs=1e-4)
        assert value("seven-of-ten", "7 of 10, upper") == pytest.approx(seven.high, abs=1e-4)
        assert value("anchor-points", "lower") == pytest.approx(wilson(20, 20).low, abs=1e-4)
        assert value("forgetting-suite", "lower") == pytest.approx(wilson(5, 5).low, abs=1e-4)

    def test_cases_for_a_half_width_are_those_of_stats(self) -> None:
        assert value("half-width-500", "cases for 0.03 at 0.79") == cases_for_half_width(0.79, 0.03)
        assert value("half-width-500", "cases for 0.03 at 0.5") == cases_for_half_width(0.5, 0.03)
        lowest = value("half-width-500", "lowest p")
        assert 1.96 * math.sqrt(lowest * (1 - lowest) / 500) == pytest.approx(0.03)

    @pytest.mark.parametrize(("label", "p"), [("least difference above 0.80", 0.8),
                                              ("least difference above 0.50", 0.5)])  # fmt: skip
    def test_the_least_difference_solves_the_power_equation(self, label: str, p: float) -> None:
        d = value("power-500", label) / 100
        error = math.sqrt((p * (1 - p) + (p + d) * (1 - p - d)) / 500)
        assert d / error == pytest.approx(1.96 + 0.8416)

    def test_the_internal_rate_of_return_is_15_3_per_cent(self) -> None:
        flows = (-1000, 300, 400, 500, 200)
        low, high = 0.0, 1.0
        for _ in range(60):
            rate = (low + high) / 2
            worth = sum(flow / (1 + rate) ** year for year, flow in enumerate(flows))
            low, high = (rate, high) if worth > 0 else (low, rate)
        assert low == pytest.approx(0.153, abs=5e-4)

    def test_fewer_than_three_groups_can_never_be_diverse(self) -> None:
        assert all(min(8, n // 50) <= 2 for n in range(150)) and min(8, 150 // 50) == 3


class TestWhatChecksOut:
    def test_tinyllama_rank_8_on_q_and_v_is_as_printed(self) -> None:
        # 22 layers, 2,048 wide, 4 KV heads of 64
        assert 22 * 8 * ((2048 + 2048) + (2048 + 256)) == 1_126_400

    @pytest.mark.parametrize(
        ("per_hour", "hours", "printed"),
        [(0.80, 2, 1.60), (0.80, 16, 12.80), (2.00, 1, 2.00), (2.00, 8, 16.00), (6.40, 0.5, 3.20),
         (6.40, 3, 19.20), (12.00, 1 / 3, 4.00), (12.00, 2, 24.00), (2.50, 4, 10.00)],
    )  # fmt: skip
    def test_training_costs_are_as_printed(
        self, per_hour: float, hours: float, printed: float
    ) -> None:
        assert per_hour * hours == pytest.approx(printed)

    def test_the_perplexity_example_rises_by_13_7_per_cent(self) -> None:
        rise = 3.89 / 3.42 - 1
        assert rise == pytest.approx(0.137, abs=5e-4)

    def test_the_blended_price_and_its_bills_are_as_printed(self) -> None:
        blended = 0.8 * 3 + 0.2 * 15
        assert blended == pytest.approx(5.40)
        assert [tokens * blended * 30 for tokens in (2, 8, 10)] == pytest.approx([324, 1296, 1620])


def lora(layers: int, rank: int, width: int, kv: int, inner: int, *, mlp: bool = False) -> int:
    """Return the parameters of an adapter on q, k, v, o, and on the MLP if asked."""
    sides = 2 * (width + width) + 2 * (width + kv) + (3 * (width + inner) if mlp else 0)
    return layers * rank * sides


class TestReading:
    def test_a_value_keeps_the_digits_it_is_written_with(self) -> None:
        entry = parse(ONE, "e.toml").rows[0].sums[0]
        assert (entry.value, entry.digits, entry.said, entry.text()) == (2.0, 2, 3.0, "2.00 GBP")

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ('area = "money"', 'area = "mony"', "errata 'two': key 'area' is 'mony'"),
            ('kind = "computed"', 'kind = "sure"', "key 'kind' is 'sure'"),
            ('as_of = "2026-11-22"', 'as_of = "2026-13-01"', "key 'as_of' is '2026-13-01'"),
            ('as_of = "2026-11-22"', "", "key 'as_of' is missing"),
            ("value = 2.00", "", "key 'value' is missing"),
            ("value = 2.00", 'value = "2"', "key 'value' is '2'"),
            ("value = 2.00", "value = true", "key 'value' is 'True'"),
            ("value = 2.00", "value = nan", "key 'value' is"),
            ("said = 3", "said = inf", "key 'said' is"),
            ('arithmetic = "1+1"', "", "key 'value' is not known"),
            ('arithmetic = "1+1"', "arithmetic = 2", "key 'arithmetic' is '2'"),
            ('says = "1 + 1 = 3"', 'says = " "', "key 'says' is ' '"),
            ('source = "book, ch. 1"', 'source = "blog"', "key 'source' is 'blog'"),
            ('unit = "GBP"', 'unit = "GBP"\ncolour = "red"', "key 'colour' is not known"),
            ('unit = "GBP"', 'unit = "GBP"\nconflict = "yes"', "key 'conflict' is 'yes'"),
            ('unit = "GBP"', 'unit = "GBP"\nsums = 1', "key 'sums' is '1'"),
        ],
    )
    def test_a_wrong_row_is_named_with_its_key(self, old: str, new: str, says: str) -> None:
        with pytest.raises(UsageError, match=re.escape(says)) as caught:
            parse(ONE.replace(old, new), "e.toml")

        assert caught.value.message.startswith("e.toml") and caught.value.fix

    def test_a_row_with_neither_arithmetic_nor_conflict_is_refused(self) -> None:
        without = ONE[: ONE.index("arithmetic")]
        with pytest.raises(UsageError, match="errata 'two': key 'arithmetic' is missing"):
            parse(without, "e.toml")

        assert parse(without + "conflict = true\n", "e.toml").rows[0].conflict

    def test_a_wrong_sum_of_several_is_named(self) -> None:
        text = ONE + '\n[[errata.sums]]\nlabel = "x"\narithmetic = "1"\nvalue = "one"\n'
        with pytest.raises(UsageError, match="errata 'two': sums 1: key 'value' is 'one'"):
            parse(text, "e.toml")

    def test_two_rows_of_one_id_are_refused(self) -> None:
        with pytest.raises(UsageError, match="two rows have the id 'two'"):
            parse(ONE + ONE[ONE.index("[[errata]]") :], "e.toml")

    def test_what_is_no_toml_is_named_with_its_line(self) -> None:
        with pytest.raises(UsageError, match=r"e\.toml: .*line 1"):
            parse("[[errata\n", "e.toml")

    def test_a_sum_that_is_off_by_a_digit_does_not_agree(self) -> None:
        entry = parse(ONE.replace("2.00", "2.01"), "e.toml").rows[0].sums[0]
        assert not entry.agrees()

    def test_the_file_names_no_source_it_does_not_use(self) -> None:
        for document in errata.documents():
            assert any(document.id in row.source for row in load()), document.id


class TestEvaluate:
    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("1+2*3", 7), ("(1+2)*3", 9), ("2**10", 1024), ("-3+-2", -5), ("+4", 4),
            ("7/2", 3.5), ("1e9/1e3", 1e6), ("sqrt(16)", 4), ("log(1)", 0), ("ceil(1.2)", 2),
            ("floor(1.8)", 1), ("round(2.567, 2)", 2.57), ("round(2.5)", 2), (" 1 + 1 ", 2),
            ("2**-1", 0.5), ("1_000*2", 2000),
        ],
    )  # fmt: skip
    def test_sums_come_out(self, expression: str, expected: float) -> None:
        assert evaluate(expression) == pytest.approx(expected)

    @pytest.mark.parametrize(
        "expression",
        [
            "", " ", "x", "pi", "abs(1)", "__import__('os')", "().__class__", "1 if 1 else 2",
            "[1]", "(1,2)", "'a'", "True", "1 // 2", "5 % 2", "1 < 2", "1 and 2", "lambda: 1",
            "sqrt", "sqrt()", "sqrt(1,2)", "log(8,2)", "round(1,2,3)", "round(x=1)", "1 +", "1j",
            "sqrt(*[1])", "~1", "1; 2", "a:=1", "f'{1}'", "1 2", "1(2)", "0x10", "1..real",
        ],
    )  # fmt: skip
    def test_everything_else_is_refused(self, expression: str) -> None:
        with pytest.raises(UsageError, match="arithmetic"):
            evaluate(expression)

    @pytest.mark.parametrize(
        "expression",
        ["1/0", "0**-1", "9**9**9", "1e308*10", "sqrt(-1)", "log(0)", "(-8)**0.5", "1e999",
         "1e999-1e999", "floor(1e999)"],
    )  # fmt: skip
    def test_what_has_no_finite_real_value_is_refused(self, expression: str) -> None:
        with pytest.raises(UsageError):
            evaluate(expression)

    @pytest.mark.parametrize("expression", ["-" * LONGEST + "1", "(" * 200 + "1" + ")" * 199])
    def test_long_and_deep_ones_are_refused(self, expression: str) -> None:
        with pytest.raises(UsageError):
            evaluate(expression)

    def test_deep_signs_within_the_length_come_out(self) -> None:
        assert evaluate("-" * 100 + "1") == 1

    @given(st.text(alphabet="0123456789.+-*/() esqrtlogcilfundx", max_size=60))
    def test_any_text_is_a_number_or_refused(self, text: str) -> None:
        try:
            found = evaluate(text)
        except UsageError:
            return
        assert math.isfinite(found)

    @given(sums := st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
    def test_products_and_sums_of_whole_numbers_are_exact(self, numbers: list[int]) -> None:
        assert evaluate("+".join(map(str, numbers))) == sum(numbers)
        assert evaluate("*".join(map(str, numbers[:2]))) == math.prod(numbers[:2])


def test_no_row_names_a_text_by_a_number() -> None:
    assert re.findall(r"\bS[0-4]\b", TEXT) == []
