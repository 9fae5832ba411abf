"""Who should do the work, with the sources' own examples."""

import json
import math

import pytest

from fathom_tui import catalog
from fathom_tui.build_or_buy import Maker, Team, build_or_buy
from fathom_tui.errors import UsageError

SERVICES = catalog.load().services


class TestBuildOrBuy:
    @pytest.mark.parametrize(
        ("team", "maker", "asked"),
        [
            (Team(lora_engineer=True, weeks_free=4, eval_harness=True), Maker.DIY, 3),
            (Team(lora_engineer=True, weeks_free=6, eval_harness=False), Maker.DIY_PLUS, 3),
            (Team(lora_engineer=True, weeks_free=3.9, eval_harness=True), Maker.BUY, 2),
            (Team(lora_engineer=False, weeks_free=9, eval_harness=True), Maker.BUY, 1),
            (Team(), None, 1),
            (Team(lora_engineer=True), None, 2),
            (Team(lora_engineer=True, weeks_free=5), None, 3),
        ],
    )
    def test_the_tree_is_walked_as_far_as_the_answers_go(
        self, team: Team, maker: Maker | None, asked: int
    ) -> None:
        found = build_or_buy(team, SERVICES)
        assert found.maker is maker and len(found.path) == asked and found.why

    def test_ones_own_hours_cost_what_the_book_should_print(self) -> None:
        found = build_or_buy(Team(eval_harness=True), SERVICES)
        own = {option.id: option for option in found.options}["diy"]
        assert (own.low.value, own.high.value) == (12_800, 19_200)
        assert (own.expected_low.value, own.expected_high.value) == pytest.approx((16_640, 24_960))
        assert own.weeks == (6, 10)

    def test_an_evaluation_to_be_made_adds_two_weeks(self) -> None:
        found = build_or_buy(Team(eval_harness=False), SERVICES)
        own = {option.id: option for option in found.options}["diy"]
        assert own.low.value == (160 + 80) * 80 and own.weeks == (8, 12)

    def test_rework_of_a_refunded_service_is_the_sellers(self) -> None:
        options = {o.id: o for o in build_or_buy(Team(), SERVICES).options}
        tuning, big = options["fine-tuning"], options["big-4"]
        assert (tuning.low.value, tuning.expected_low.value) == (4_500, 4_500)
        assert tuning.rework == 0.2
        assert big.expected_high.value == pytest.approx(80_000 * 1.15)

    def test_every_service_of_the_catalog_is_an_option(self) -> None:
        found = build_or_buy(Team(), SERVICES)
        assert [option.id for option in found.options] == [row.id for row in SERVICES]

    def test_json_is_whole(self) -> None:
        shown = json.loads(json.dumps(build_or_buy(Team(lora_engineer=False), SERVICES).to_json()))
        assert shown["maker"] == "buy" and shown["path"][0]["answer"] == "no"
        assert shown["options"][0]["cost"]["low"]["unit"] == "GBP"

    @pytest.mark.parametrize(
        "changes", [{"hours": 0}, {"rate_low_gbp": -1}, {"rate_high_gbp": 10}, {"hours": math.nan}]
    )
    def test_a_bad_number_is_named(self, changes: dict[str, float]) -> None:
        name, value = next(iter(changes.items()))
        with pytest.raises(UsageError, match=f"{name} is {value!r}"):
            build_or_buy(Team(), SERVICES, **changes)

    def test_weeks_below_zero_are_refused(self) -> None:
        with pytest.raises(UsageError, match="weeks_free is -1"):
            Team(weeks_free=-1)
