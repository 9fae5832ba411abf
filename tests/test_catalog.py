"""The catalog: every row has a source, every name is found, and the numbers agree."""

import argparse
import json
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui import break_even, catalog
from fathom_tui.architecture import Architecture, parameters
from fathom_tui.catalog import Catalog
from fathom_tui.catalog_rows import Problem, problem
from fathom_tui.catalog_types import BOOK, TABLES, Assumption, Gpu, Model, Row
from fathom_tui.commands import catalog as command
from fathom_tui.commands import payback
from fathom_tui.economics import Market
from fathom_tui.errors import UsageError
from fathom_tui.figures import Kind
from fathom_tui.store.paths import Home

ASSETS = Path(__file__).parents[1] / "assets/catalog"
SOURCE = {"source": "a dealer", "as_of": "2026-11-20", "kind": "community"}
NEW_GPU = {
    "id": "rtx-9999",
    "name": "RTX 9999",
    "vendor": "nvidia",
    "form": "consumer",
    "memory_gib": 64,
    "bandwidth_gb_s": 3000,
    **SOURCE,
}
KNOWN = catalog.load()


def rows() -> Iterator[Row]:
    """Return every row of every table."""
    for table in TABLES:
        yield from getattr(KNOWN, table)


def ids(row: Row) -> str:
    """Return what a test of one row is called by."""
    return row.id


class TestRows:
    def test_there_are_enough_of_them(self) -> None:
        assert len(KNOWN.gpus) >= 25
        assert len(KNOWN.models) >= 40
        assert len(KNOWN.quants) >= 10
        assert len(KNOWN.prices) == 6

    @pytest.mark.parametrize("table", TABLES)
    def test_every_table_is_a_file_and_every_file_a_table(self, table: str) -> None:
        data = tomllib.loads((ASSETS / f"{table}.toml").read_text("utf-8"))

        assert list(data) == [table]
        assert {path.stem for path in ASSETS.glob("*.toml")} - {"errata"} == set(TABLES)

    def test_every_row_and_every_borrowed_field_has_source_date_and_kind(self) -> None:
        for row in rows():
            for origin in (row.origin, *row.origins.values()):
                assert origin.source.strip(), row.id
                assert date.fromisoformat(origin.as_of) <= date(2026, 11, 22), row.id
                assert origin.kind in Kind, row.id

    @pytest.mark.parametrize("table", TABLES)
    def test_no_two_rows_of_a_table_share_a_name(self, table: str) -> None:
        taken: dict[str, str] = {}
        for row in getattr(KNOWN, table):
            for name in set(catalog.names(row)):
                assert taken.setdefault(name, row.id) == row.id, name

    def test_measured_figures_are_only_those_the_sources_measured(self) -> None:
        measured = {
            row.id
            for row in rows()
            for origin in (row.origin, *row.origins.values())
            if origin.kind in (Kind.MEASURED_HERE, Kind.MEASURED_BY_SOURCE)
        }

        assert measured == {"rtx-2070", "m5-16gb"}


class TestModels:
    @pytest.mark.parametrize("row", KNOWN.models, ids=ids)
    def test_parameters_follow_from_the_architecture_to_the_last(self, row: Model) -> None:
        assert parameters(row.architecture) == row.parameters

    @pytest.mark.parametrize("row", KNOWN.models, ids=ids)
    def test_active_parameters_are_fewer_only_where_there_are_experts(self, row: Model) -> None:
        if row.architecture.moe is None:
            assert row.active_parameters == row.parameters
        else:
            assert row.active_parameters < row.parameters / 2

    @pytest.mark.parametrize("row", KNOWN.models, ids=ids)
    def test_a_model_is_in_the_size_class_of_its_parameters(self, row: Model) -> None:
        tier = KNOWN.tier(row.tier)

        assert tier.parameters_low <= row.parameters < tier.parameters_high

    def test_size_classes_leave_no_gap(self) -> None:
        bounds = [(tier.parameters_low, tier.parameters_high) for tier in KNOWN.tiers]

        assert [high for _, high in bounds[:-1]] == [low for low, _ in bounds[1:]]

    @pytest.mark.parametrize("row", KNOWN.models, ids=ids)
    def test_sliding_layers_and_window_come_together(self, row: Model) -> None:
        shape: Architecture = row.architecture

        assert (shape.sliding_window is None) == (shape.sliding_layers == 0)
        assert shape.sliding_layers < shape.layers
        assert shape.heads % shape.kv_heads == 0

    def test_gemma_3_sees_the_whole_context_in_every_sixth_layer(self) -> None:
        for row in KNOWN.models:
            if row.family == "gemma3":
                whole = row.architecture.layers - row.architecture.sliding_layers
                assert whole == row.architecture.layers // 6

    def test_kv_caches_of_the_errata_come_out(self) -> None:
        def cache(name: str) -> float:
            shape = KNOWN.model(name).architecture
            return shape.layers * shape.kv_heads * shape.head_dim * 2 * 2 * 32_768 / 1e9

        assert cache("llama-3.1-8b") == pytest.approx(4.29, abs=0.005)
        assert cache("qwen2.5-7b") == pytest.approx(1.88, abs=0.005)

    @pytest.mark.parametrize("row", KNOWN.models, ids=ids)
    def test_a_model_has_a_licence_a_hub_id_and_a_month(self, row: Model) -> None:
        assert row.licence and "/" in row.hub and ":" in row.ollama
        assert date.fromisoformat(f"{row.released}-01") < date(2026, 11, 22)

    @pytest.mark.parametrize(
        "name",
        [
            "tiiuae/falcon-7b-instruct",
            "meta-llama/Llama-2-7b-chat-hf",
            "llama2:13b",
            "llama2",
            "mosaicml/mpt-7b",
            "lmsys/vicuna-13b-v1.5",
            "alpaca-7b",
            "bigscience/bloomz-7b1",
            "EleutherAI/gpt-j-6b",
            "EleutherAI/gpt-neox-20b",
            "stabilityai/stablelm-2-1_6b",
            "stable-code:3b",
        ],
    )
    def test_retired_families_are_known_on_sight(self, name: str) -> None:
        row = KNOWN.retired_family(name)

        assert row is not None
        assert KNOWN.model(row.instead)
        with pytest.raises(UsageError, match="retired family"):
            KNOWN.model(name)

    def test_no_model_of_ours_is_retired(self) -> None:
        for model in KNOWN.models:
            for name in (model.id, model.hub, model.ollama, model.name):
                assert KNOWN.retired_family(name) is None, name

    @pytest.mark.parametrize("name", ["meta-llama/Llama-3.2-1B", "tiiuae/Falcon3-7B", "promptly"])
    def test_newer_families_are_not(self, name: str) -> None:
        assert KNOWN.retired_family(name) is None

    def test_tasks_name_models_we_have_or_encoders(self) -> None:
        for task in KNOWN.tasks:
            assert task.approach or task.models, task.id
            for name in task.models:
                assert task.approach == "embedding" or KNOWN.model(name).id == name


class TestDevices:
    @pytest.mark.parametrize("row", KNOWN.gpus, ids=ids)
    def test_ranges_are_whole_and_in_order(self, row: Gpu) -> None:
        for name in ("price_new", "price_used", "tokens_per_s"):
            low, high = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
            assert (low is None) == (high is None), name
            assert low is None or 0 < low <= high, name

    @pytest.mark.parametrize("row", [row for row in KNOWN.gpus if row.count > 1], ids=ids)
    def test_several_cards_are_several_of_one(self, row: Gpu) -> None:
        one = KNOWN.gpu(row.id.rpartition("-x")[0])

        assert row.memory_gib == pytest.approx(one.memory_gib * row.count)
        assert (row.bandwidth_gb_s, row.bf16_tflops) == (one.bandwidth_gb_s, one.bf16_tflops)
        assert row.watts == (one.watts or 0) * row.count

    @pytest.mark.parametrize("row", KNOWN.gpus, ids=ids)
    def test_quoted_rates_are_possible_or_said_not_to_be(self, row: Gpu) -> None:
        ceiling = row.bandwidth_gb_s / (8.03 * 4.85 / 8)
        if row.tokens_per_s_high is not None and row.tokens_per_s_high > ceiling:
            assert row.id == "rtx-2070" and "conflict" in row.origin_of("tokens_per_s_high").source

    def test_regulated_work_finds_a_rented_machine_in_the_eu(self) -> None:
        providers = {rent.provider for row in KNOWN.gpus for rent in row.rentals if rent.eu}

        assert "Hetzner" in providers

    def test_the_unverified_mac_says_so(self) -> None:
        row = KNOWN.gpu("m4-ultra-192gb")

        assert row.origin.kind is Kind.ASSUMED
        assert "not verified" in row.name and row.watts is None

    def test_a_devices_old_price_is_stale_and_its_bandwidth_is_not(self) -> None:
        row, today = KNOWN.gpu("rtx-3090"), date(2026, 11, 22)

        assert catalog.stale(row, today, field="price_used_low")
        assert not catalog.stale(row, today)
        assert not catalog.stale(row, date(2027, 2, 20))
        assert catalog.stale(row, date(2027, 2, 21))


class TestNumbers:
    def test_quantisations_grow_with_their_rank(self) -> None:
        ranked = sorted(KNOWN.quants, key=lambda row: row.rank)

        assert [row.rank for row in ranked] == list(range(len(ranked)))
        assert [row.bits for row in ranked] == sorted(row.bits for row in ranked)

    def test_grades_of_the_book_follow_the_price(self) -> None:
        for row in KNOWN.prices:
            assert row.grade == catalog.grade_by_price(row.output_usd)

    def test_sonnet_costs_what_the_book_sums_up(self) -> None:
        row, share = KNOWN.price("claude-sonnet-4"), 0.8
        blended = share * row.input_usd + (1 - share) * row.output_usd

        assert blended * 2 * 30 == pytest.approx(324)

    def test_compliance_lines_add_to_what_the_errata_say(self) -> None:
        lines = [row for row in KNOWN.compliance if not row.total]

        assert sum(row.gbp_low for row in lines) == 75_000
        assert sum(row.gbp_high for row in lines) == 205_000

    def test_operations_lie_in_the_range_the_book_leaves_open(self) -> None:
        def of(name: str) -> Assumption:
            return KNOWN.assumption(name)

        hours = 24 * 30
        electricity = of("pair_watts").value / 1000 * hours * of("gbp_per_kwh").value
        known = of("pair_price_gbp").value / of("months").value + electricity
        operations = of("operations_gbp")

        assert known == pytest.approx(180, abs=1)
        assert known + operations.value == pytest.approx(500, abs=1)
        assert (operations.low, operations.high) == (350 - 180, 700 - 180)

    def test_assumptions_lie_in_their_own_range(self) -> None:
        for row in KNOWN.assumptions:
            assert (row.low or 0) <= row.value <= (row.high or row.value), row.id

    def test_every_assumption_is_read_by_a_sum(self) -> None:
        fine_tune = {name for names in payback._DEFAULTS.values() for name in names}
        machine, engineer = {"pair_price_gbp", "pair_watts"}, {"diy_hours", "diy_gbp_per_hour"}
        read = {*Market.__dataclass_fields__, *break_even.ASSUMED.values()}

        assert {row.id for row in KNOWN.assumptions} == read | fine_tune | machine | engineer


class TestLookup:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("qwen2.5:7b", "qwen2.5-7b"),
            ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b"),
            ("QWEN2.5-7B", "qwen2.5-7b"),
            ("meta-llama/Llama-3.1-8B", "llama-3.1-8b"),
            ("gemma3:4b", "gemma3-4b"),
            ("google/gemma-3-4b-it", "gemma3-4b"),
            ("SmolLM2-135M-Instruct", "smollm2-135m"),
        ],
    )
    def test_models_answer_to_their_other_names(self, text: str, found: str) -> None:
        assert KNOWN.model(text).id == found

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("RTX 4090", "rtx-4090"),
            ("NVIDIA GeForce RTX 3090", "rtx-3090"),
            ("2 x NVIDIA GeForce RTX 4090", "rtx-4090-x2"),
            ("h100", "h100-80gb"),
            ("mac-mini-m4", "m4-16gb"),
        ],
    )
    def test_devices_answer_to_what_drivers_call_them(self, text: str, found: str) -> None:
        assert KNOWN.gpu(text).id == found

    def test_quantisations_and_prices_are_found_in_any_case(self) -> None:
        assert KNOWN.quant("Q4_K_M").id == KNOWN.quant("q4-k-m").id == "q4_k_m"
        assert KNOWN.price("GPT-4o").id == "gpt-4o"

    def test_unknown_gpu_offers_the_nearest_names(self) -> None:
        with pytest.raises(UsageError) as caught:
            KNOWN.gpu("rtx-4900")

        assert "'rtx-4900'" in caught.value.message
        assert "rtx-4090" in caught.value.fix and "fathom catalog gpus" in caught.value.fix

    @given(st.text(max_size=200))
    def test_any_text_finds_a_row_or_is_refused(self, text: str) -> None:
        for look in (KNOWN.gpu, KNOWN.model, KNOWN.quant, KNOWN.price):
            try:
                assert look(text).id
            except UsageError as error:
                assert len(error.message) < 400

    @pytest.mark.parametrize("row", list(rows()), ids=ids)
    def test_every_row_answers_to_every_name_of_its_own(self, row: Row) -> None:
        table = next(name for name, kind in TABLES.items() if type(row) is kind)
        for name in (row.id, row.name.upper(), *row.aliases):
            assert catalog.find(getattr(KNOWN, table), name, "row", "") is row


class TestOverlay:
    def test_the_catalog_is_made_once(self) -> None:
        assert catalog.load() is catalog.load({}) is KNOWN

    def test_a_row_is_added(self) -> None:
        found = catalog.load({"gpus": [NEW_GPU]})

        assert found.gpu("rtx 9999").memory_gib == 64
        assert len(found.gpus) == len(KNOWN.gpus) + 1

    def test_fields_are_laid_over_with_their_own_source(self) -> None:
        mine = {"id": "rtx-3090", "price_used_low": 650, "price_used_high": 720, **SOURCE}
        row = catalog.load({"gpus": [mine]}).gpu("rtx-3090")

        assert row.figure("price_used_low", "GBP").to_json() == {
            "value": 650.0, "unit": "GBP", **{k: SOURCE[k] for k in ("kind", "source", "as_of")},
        }  # fmt: skip
        assert row.origin == KNOWN.gpu("rtx-3090").origin
        assert row.bandwidth_gb_s == 936

    def test_two_rows_of_one_id_are_refused(self) -> None:
        first = {"id": "rtx-3090", "watts": 300, **SOURCE}
        second = {"id": "rtx-3090", "price_used_low": 1, **SOURCE}

        with pytest.raises(UsageError, match="id is 'rtx-3090', as in a row above"):
            catalog.load({"gpus": [first, second]})

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"id": "RTX 3090"}, "id is 'RTX 3090', to which 'rtx-3090' answers already"),
            ({"id": "mac-mini-m4"}, "id is 'mac-mini-m4', to which 'm4-16gb' answers"),
            ({"aliases": ["h100"]}, "aliases has 'h100', to which 'h100-80gb' answers"),
            ({"aliases": ["RTX_3090"]}, "aliases has 'RTX_3090', to which 'rtx-3090' answers"),
        ],
    )
    def test_a_name_of_another_row_is_refused(self, change: dict[str, Any], says: str) -> None:
        with pytest.raises(UsageError) as caught:
            catalog.load({"gpus": [{**NEW_GPU, **change}]})

        assert says in caught.value.message

    def test_a_row_keeps_or_gives_away_its_own_aliases(self) -> None:
        mine = {"id": "h100-80gb", "aliases": ["the big one"], **SOURCE}
        found = catalog.load({"gpus": [mine, {**NEW_GPU, "aliases": ["h100"]}]})

        assert found.gpu("The Big One").id == "h100-80gb"
        assert found.gpu("h100").id == "rtx-9999"

    def test_two_new_rows_cannot_share_an_alias(self) -> None:
        first, second = ({**NEW_GPU, "id": name, "aliases": ["mine"]} for name in "ab")

        found = catalog.clash("gpus", [first, second])
        assert found is not None and found[0] == 1 and found[1].key == "aliases"

    @pytest.mark.parametrize("row", KNOWN.assumptions, ids=ids)
    def test_an_assumption_keeps_to_the_range_of_its_unit(self, row: Assumption) -> None:
        def says(value: object) -> Problem | None:
            return problem("assumptions", {"id": row.id, "value": value, **SOURCE})

        above, most = row.unit in ("USD/GBP", "months"), 1 if row.unit == "share" else 1e12
        assert says(most) is None and says(0.5) is None
        assert (says(0) is not None) == above
        for value in (-1, most * 1.01, 1e300, 10**400, float("inf"), float("nan"), True):
            found = says(value)
            assert found is not None and found.key == "value", value

    @pytest.mark.parametrize("row", KNOWN.assumptions, ids=ids)
    def test_what_the_cost_model_refuses_the_catalog_refuses(self, row: Assumption) -> None:
        if row.id not in Market.__dataclass_fields__:
            return
        for value in (0, 0.5, 1, 1.5, 1e12, 1.1e12):
            found = problem("assumptions", {"id": row.id, "value": value, **SOURCE})
            try:
                Market.of(KNOWN, **{row.id: value})
            except UsageError:
                assert found is not None, value
            else:
                assert found is None, value

    @pytest.mark.parametrize(
        ("change", "key", "says"),
        [
            ({"id": "operation_gbp", "value": 1}, "id", "did you mean operations_gbp?"),
            ({"value": 1}, "id", "missing"),
            ({"id": "local_share", "unit": "percent"}, "unit", "the sums count it in share"),
            ({"id": "months", "low": 9, "high": 8}, "low", "is 9, above high of 8"),
            ({"id": "local_share", "high": 0.1}, "high", "is 0.1, below low of 0.65"),
        ],
    )
    def test_an_assumption_is_one_that_the_sums_read(
        self, change: dict[str, Any], key: str, says: str
    ) -> None:
        found = problem("assumptions", {**change, **SOURCE})

        assert found is not None and found.key == key and says in found.says

    @pytest.mark.parametrize(
        ("table", "change", "key"),
        [
            ("quants", {"id": "q4_k_m", "bits": 0}, "bits"),
            ("quants", {"id": "q4_k_m", "bits": 65}, "bits"),
            ("gpus", {"id": "rtx-3090", "memory_gib": 0}, "memory_gib"),
            ("gpus", {"id": "rtx-3090", "bandwidth_gb_s": 0}, "bandwidth_gb_s"),
            ("gpus", {"id": "rtx-3090", "count": 0}, "count"),
            ("gpus", {"id": "rtx-3090", "count": 10**400}, "count"),
            ("gpus", {"id": "rtx-3090", "price_used_high": 1}, "price_used_high"),
            ("models", {"id": "qwen2.5-7b", "active_parameters": 9e12}, "active_parameters"),
            ("models", {"id": "qwen2.5-7b", "parameters": 1}, "parameters"),
            ("services", {"id": "audit", "rework": 2}, "rework"),
            ("retired", {"id": "falcon", "matches": ["("]}, "matches"),
            ("gpus", {"id": "rtx-3090", "origin": 3}, "origin"),
            ("gpus", {"id": "", "watts": 3}, "name"),
        ],
    )
    def test_a_number_out_of_range_is_refused_by_the_key_that_was_written(
        self, table: str, change: dict[str, Any], key: str
    ) -> None:
        found = problem(table, {**change, **SOURCE})

        assert found is not None and found.key == key

    def test_a_rent_of_which_the_low_end_is_above_the_high_one_is_refused(self) -> None:
        rent = {"provider": "x", "usd_per_hour_low": 1, "usd_per_hour_high": 1, "eu": True}
        wrong = {**rent, "usd_per_hour_low": 2}
        found = problem("gpus", {**NEW_GPU, "rentals": [rent, wrong]})

        assert found == Problem(
            key="rentals.usd_per_hour_low", says="is 2, above usd_per_hour_high of 1", item=1
        )

    def test_a_date_after_today_is_refused(self) -> None:
        later = {"fields": ["watts"], **SOURCE, "as_of": "2026-11-22"}

        assert problem("gpus", NEW_GPU, date(2026, 11, 20)) is None
        for row, key in ((NEW_GPU, "as_of"), ({**NEW_GPU, "origins": [later]}, "origins.as_of")):
            day = date(2026, 11, 19) if key == "as_of" else date(2026, 11, 21)
            found = problem("gpus", row, day)
            assert found is not None and found.key == key and "after today" in found.says

    @pytest.mark.parametrize("key", ["source", "as_of", "kind", "memory_gib"])
    def test_a_row_without_one_of_these_is_refused(self, key: str) -> None:
        row = {name: value for name, value in NEW_GPU.items() if name != key}

        with pytest.raises(UsageError, match=rf"catalog.toml, row 'rtx-9999': {key} is missing"):
            catalog.load({"gpus": [row]})

    def test_an_override_without_a_source_is_refused(self) -> None:
        with pytest.raises(UsageError, match="source is missing"):
            catalog.load({"gpus": [{"id": "rtx-3090", "watts": 300}]})

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"memory_gb": 24}, "memory_gb is unknown; did you mean memory_gib?"),
            ({"memory_gib": "24"}, "memory_gib is '24', not a number"),
            ({"memory_gib": True}, "memory_gib is True, not a number"),
            ({"memory_gib": -1}, "memory_gib is -1, not a number of 0 or more"),
            ({"memory_gib": float("nan")}, "memory_gib is nan, not a number of 0 or more"),
            ({"count": 1.5}, "count is 1.5, not a whole number"),
            ({"name": 7}, "name is 7, not text"),
            ({"unified": "yes"}, "unified is 'yes', not true or false"),
            ({"vendor": "acme"}, "vendor is 'acme', not one of nvidia"),
            ({"aliases": "x"}, "aliases is 'x', not a list"),
            ({"aliases": [1]}, "aliases is 1, not text"),
            ({"as_of": "yesterday"}, "as_of is 'yesterday', not a date"),
            ({"as_of": "20261122"}, "as_of is '20261122', not a date"),
            ({"kind": "guess"}, "kind is 'guess', not one of measured-here"),
            ({"source": " "}, "source is ' ', no text"),
            ({"rentals": [{"provider": "x"}]}, "rentals.usd_per_hour_low is missing"),
            ({"rentals": ["x"]}, "rentals is 'x', not a table"),
            ({"origins": {}}, "origins is not a list of tables"),
            ({"origins": [{"fields": 1}]}, "origins.fields is 1"),
            ({"origins": [{"fields": [[1]]}]}, "origins.fields has [1], no field"),
            ({"origins": [{"fields": ["wats"]}]}, "origins.fields has 'wats', no field; did"),
            ({"prise": 3}, "prise is unknown; did you mean price_new_low or price_new_high"),
            ({"origins": [{"fields": ["watts"]}]}, "origins.source is missing"),
            ({"price_new_low": 9, "price_new_high": 8}, "price_new_low is 9, above"),
        ],
    )
    def test_a_wrong_field_is_refused_by_name(self, change: dict[str, Any], says: str) -> None:
        with pytest.raises(UsageError) as caught:
            catalog.load({"gpus": [{**NEW_GPU, **change}]})

        assert caught.value.message.startswith(f"catalog.toml, row 'rtx-9999': {says}")

    def test_a_wrong_layer_count_is_refused_by_its_path(self) -> None:
        shape = {"layers": "many"}

        with pytest.raises(UsageError, match=r"architecture\.layers is 'many', not a whole number"):
            catalog.load({"models": [{"id": "qwen2.5-7b", "architecture": shape, **SOURCE}]})

    def test_an_unknown_table_is_refused(self) -> None:
        with pytest.raises(UsageError, match="table 'gpu'"):
            catalog.load({"gpu": []})

    @given(st.dictionaries(st.sampled_from([*NEW_GPU, "x"]), st.none() | st.floats() | st.text()))
    def test_any_values_make_a_row_or_a_problem(self, change: dict[str, Any]) -> None:
        row = {**NEW_GPU, **change}
        found = problem("gpus", row)

        if found is None:
            assert isinstance(catalog.load({"gpus": [row]}), Catalog)
        else:
            assert found.key and found.says

    def test_every_table_has_its_field(self) -> None:
        assert [item.name for item in fields(Catalog)] == list(TABLES)


def shown(*arguments: str) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments))


class TestCommand:
    @pytest.mark.parametrize("table", command.TABLES[:-2])
    def test_tables_fit_eighty_columns(
        self, table: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        assert shown(table) == 0

        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        for row in () if table == "prices" else getattr(KNOWN, table):
            name = row.name if table == "quants" else row.id
            assert any(line.startswith(name) for line in lines), name

    def test_tasks_say_what_advise_can_be_asked(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert shown("tasks", "--json") == 0

        found = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
        assert set(found) == {row.id for row in KNOWN.tasks}
        assert found["document-questions"]["approach"] == "rag"
        assert found["document-questions"]["kind"] == "community"

    @pytest.mark.parametrize("table", [name for name in command.TABLES[:-2] if name != "tasks"])
    def test_json_numbers_are_figures(self, table: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert shown(table, "--json") == 0

        found = json.loads(capsys.readouterr().out)
        assert all({"id", "name", "note", "aliases"} <= set(row) for row in found)
        figures = [value for row in found for value in row.values() if _is_figure(value)]
        assert len(figures) >= len(found)
        for figure in figures:
            assert set(figure) == {"value", "unit", "kind", "source", "as_of"}

    def test_errata_stand_beside_their_arithmetic(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        assert shown("errata") == shown("errata", "--json") == 0

        *lines, data = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        found = json.loads(data)
        assert len(found) >= 50
        assert all(row["says"] and row["explanation"] and row["source"] for row in found)
        assert all(row["sums"] or row["conflict"] for row in found)
        assert all(_is_figure(entry["figure"]) for row in found for entry in row["sums"])

    def test_what_runs_measured_here_is_listed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert shown("measured") == 0
        assert "No run has measured anything" in capsys.readouterr().err

    def test_the_books_prices_are_marked_old(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert shown("prices", "--snapshot", BOOK) == 0

        printed = capsys.readouterr()
        assert "claude-sonnet-4 *" in printed.out and "2026-04-01" in printed.out
        assert "more than 90 days ago" in printed.err

    def test_a_users_row_is_listed(self, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
        home.config.mkdir(parents=True)
        (home.config / "catalog.toml").write_text(
            '[[quants]]\nid = "q1"\nname = "Q1"\nbits = 1.5\nrank = 0\n'
            'source = "x"\nas_of = 2026-11-20\nkind = "assumed"\n',
            "utf-8",
        )
        assert shown("quants", "--json") == 0

        assert json.loads(capsys.readouterr().out)[-1]["bits"] == {
            "value": 1.5, "unit": "bits/weight", "kind": "assumed", "source": "x",
            "as_of": "2026-11-20",
        }  # fmt: skip

    @pytest.mark.parametrize(
        "arguments",
        [("gpus", "--snapshot", "current"), ("models", "--refresh")],
    )
    def test_flags_of_prices_go_with_prices_only(self, arguments: tuple[str, ...]) -> None:
        with pytest.raises(UsageError, match="goes with prices"):
            shown(*arguments)

    def test_the_books_prices_cannot_be_refreshed(self) -> None:
        with pytest.raises(UsageError, match="fixed"):
            shown("prices", "--snapshot", BOOK, "--refresh")


def _is_figure(value: object) -> bool:
    return isinstance(value, dict) and "as_of" in value


class TestTags:
    @pytest.mark.parametrize(
        ("text", "model", "quant"),
        [
            ("qwen2.5:7b-instruct-q8_0", "qwen2.5-7b", "q8_0"),
            ("Qwen2.5:7B-Instruct-Q4_K_M", "qwen2.5-7b", "q4_k_m"),
            ("llama3.1:8b-instruct-fp16", "llama-3.1-8b", "f16"),
            ("gemma3:4b-it", "gemma3-4b", None),
            ("qwen2.5:7b", "qwen2.5-7b", None),
            ("qwen2.5-7b", "qwen2.5-7b", None),
            ("mixtral:instruct", "mixtral-8x7b", None),
            ("mixtral", "mixtral-8x7b", None),
        ],
    )
    def test_name_a_model_and_its_quantisation(
        self, text: str, model: str, quant: str | None
    ) -> None:
        found, row = KNOWN.tagged(text)

        assert (found.id, row.id if row else None) == (model, quant)

    def test_a_bare_family_lists_its_sizes(self) -> None:
        with pytest.raises(UsageError, match="family of 2 sizes") as caught:
            KNOWN.model("llama3.1")

        assert caught.value.fix == "Name one: llama-3.1-8b or llama-3.1-70b"

    @pytest.mark.parametrize("text", ["qwen2.5:7b-foo", "qwen2.5:9b-q8_0", "q8_0", ":q8_0", ":"])
    def test_what_is_no_tag_is_refused(self, text: str) -> None:
        with pytest.raises(UsageError):
            KNOWN.tagged(text)

    def test_a_whole_part_of_a_name_is_nearest(self) -> None:
        with pytest.raises(UsageError) as caught:
            KNOWN.gpu("3090")

        assert caught.value.fix.startswith("Did you mean rtx-3090 or rtx-3090-x2?")

    def test_a_native_quantisation_is_one_of_the_catalog(self) -> None:
        native = {row.id: row.native_quant for row in KNOWN.models if row.native_quant}

        assert native == {"gpt-oss-20b": "mxfp4", "gpt-oss-120b": "mxfp4"}
        assert {KNOWN.quant(quant).id for quant in native.values()} == {"mxfp4"}
