import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.economics import Way
from fathom_tui.errors import UsageError
from fathom_tui.rules import decide, ownership, rule_number, verdict_of
from fathom_tui.workload import Workload, check_name, parse_regulations


def work(tokens: float, **changes: object) -> Workload:
    return Workload(tokens_per_day=tokens, **changes)  # type: ignore[arg-type]


class TestTheFiredRule:
    @pytest.mark.parametrize(
        ("tokens", "rule", "verdict"),
        [
            (100_000, 1, Way.CLOUD),
            (999_999, 1, Way.CLOUD),
            (1_000_000, 2, Way.HYBRID),
            (2_000_000, 2, Way.HYBRID),
            (10_000_000, 2, Way.HYBRID),
            (10_000_001, 4, Way.LOCAL),
            (30_000_000, 4, Way.LOCAL),
            (30_000_001, 5, Way.LOCAL),
        ],
    )
    def test_follows_the_volume_where_nothing_is_regulated(
        self, tokens: float, rule: int, verdict: Way
    ) -> None:
        found = decide(work(tokens))
        assert (found.rule.number, found.verdict) == (rule, verdict)

    @pytest.mark.parametrize("tokens", [1, 2e6, 8e6, 50e6])
    @pytest.mark.parametrize("regulation", ["gdpr", "hipaa", "fca", "dspt"])
    def test_is_rule_3_at_any_volume_where_one_regulation_applies(
        self, tokens: float, regulation: str
    ) -> None:
        found = decide(work(tokens, regulations=(regulation,)))
        assert (found.rule.number, found.verdict) == (3, Way.LOCAL)

    def test_leaves_the_volume_rules_that_hold_as_well_beside_it(self) -> None:
        assert decide(work(40e6)).also == (4, 6)
        assert decide(work(40e6, regulations=("gdpr",))).also == (4, 5, 6)
        assert decide(work(2e6, regulations=("gdpr",))).also == (6,)


class TestThePath:
    def test_shows_each_condition_with_the_users_number(self) -> None:
        path = decide(work(2e6)).path
        assert [(node.condition, node.holds) for node in path] == [
            ("regulation: none", False),
            ("2M < 1M tokens/day", False),
            ("2M ≤ 10M tokens/day", True),
        ]

    def test_ends_at_the_regulation_where_there_is_one(self) -> None:
        path = decide(work(2e6, regulations=("gdpr", "fca"))).path
        assert [(node.condition, node.holds) for node in path] == [("regulation: GDPR, FCA", True)]

    @pytest.mark.parametrize(
        ("tokens", "shown"), [(999_999, "999,999"), (10_000_001, "10,000,001")]
    )
    def test_never_rounds_a_volume_onto_an_edge(self, tokens: float, shown: str) -> None:
        found = decide(work(tokens))
        assert found.path[-1].condition.startswith(shown)
        assert found.confidence.startswith("close")

    @given(st.floats(1, 1e12), st.sampled_from([(), ("gdpr",)]))
    def test_always_ends_at_the_one_condition_that_holds(
        self, tokens: float, regulations: tuple[str, ...]
    ) -> None:
        found = decide(work(tokens, regulations=regulations))
        assert [node.holds for node in found.path] == [False] * (len(found.path) - 1) + [True]
        assert found.path[-1].rule == found.rule.number


class TestAFlip:
    @given(st.floats(1, 1e12), st.sampled_from([(), ("gdpr",), ("fca", "gdpr")]))
    def test_gives_the_verdict_it_names(self, tokens: float, regulations: tuple[str, ...]) -> None:
        workload = work(tokens, regulations=regulations)
        for flip in decide(workload).flips:
            if flip.input == "tokens_per_day":
                changed = work(float(flip.after))
            else:
                changed = work(tokens, regulations=() if regulations else ("gdpr",))
            assert verdict_of(changed) is flip.verdict
            assert flip.verdict is not verdict_of(workload)

    def test_is_the_nearest_on_either_side(self) -> None:
        flips = decide(work(2e6)).flips
        assert [(f.input, f.after, f.verdict) for f in flips] == [
            ("tokens_per_day", 999_999, Way.CLOUD),
            ("tokens_per_day", 10_000_001, Way.LOCAL),
            ("regulations", "any", Way.LOCAL),
        ]

    def test_between_two_rules_of_one_verdict_is_none(self) -> None:
        below = [f for f in decide(work(50e6)).flips if f.input == "tokens_per_day"]
        assert [f.after for f in below] == [10_000_000]

    def test_of_regulated_work_is_the_end_of_the_regulation(self) -> None:
        (flip,) = decide(work(2e6, regulations=("gdpr",))).flips
        assert (flip.after, flip.verdict) == ("none", Way.HYBRID)
        assert decide(work(20e6, regulations=("gdpr",))).flips == ()


class TestGrowth:
    def test_of_15_per_cent_takes_2m_beyond_rule_2_in_a_year(self) -> None:
        found = decide(work(2e6, growth=0.15))
        assert found.growth_months == pytest.approx(math.log(5) / math.log(1.15), rel=1e-6)
        assert found.growth_verdict is Way.LOCAL

    def test_that_shrinks_leads_back_to_the_cloud(self) -> None:
        found = decide(work(2e6, growth=-0.10))
        assert found.growth_verdict is Way.CLOUD
        assert found.growth_months == pytest.approx(math.log(0.5) / math.log(0.9), rel=1e-3)

    def test_changes_nothing_where_regulation_decides(self) -> None:
        assert decide(work(2e6, growth=0.15, regulations=("gdpr",))).growth_months is None


class TestConfidence:
    @pytest.mark.parametrize(
        ("tokens", "word"), [(9.5e6, "close"), (6e6, "moderate"), (3.2e6, "firm"), (1.1e6, "close")]
    )
    def test_follows_the_distance_to_the_nearest_flip(self, tokens: float, word: str) -> None:
        assert decide(work(tokens)).confidence.startswith(word)

    def test_is_firm_where_no_volume_changes_anything(self) -> None:
        assert "no volume" in decide(work(2e6, regulations=("gdpr",))).confidence


class TestOwnership:
    @pytest.mark.parametrize(
        ("hours", "label"),
        [(0, "rent"), (2.9, "rent"), (3, "run the sum"), (5, "run the sum"), (5.1, "own")],
    )
    def test_follows_the_hours_a_day(self, hours: float, label: str) -> None:
        assert ownership(hours).label == label

    def test_of_a_datacentre_card_is_to_rent(self) -> None:
        assert ownership(20, datacentre=True).label == "rent"

    def test_is_unknown_where_nobody_counted(self) -> None:
        assert ownership(None).label == "unknown"


class TestBadInput:
    @pytest.mark.parametrize("tokens", [0, -1, math.nan, math.inf, 1e30])
    def test_volume_that_cannot_be_is_refused_with_its_value(self, tokens: float) -> None:
        with pytest.raises(UsageError, match="tokens_per_day is"):
            work(tokens)

    @pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
    @pytest.mark.parametrize("name", ["input_share", "cache_hits"])
    def test_share_outside_0_to_1_is_refused(self, name: str, share: float) -> None:
        with pytest.raises(UsageError, match=name):
            work(1e6, **{name: share})

    def test_unknown_regulation_offers_the_nearest(self) -> None:
        with pytest.raises(UsageError) as caught:
            parse_regulations("gdpr,hippa")
        assert "'hippa'" in caught.value.message
        assert "hipaa" in caught.value.fix

    @pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x1b[31m", "a\u202eb", "x" * 61, "\udcff"])
    def test_name_that_cannot_be_shown_is_refused(self, name: str) -> None:
        with pytest.raises(UsageError, match="cannot be a workload's name"):
            check_name(name)

    @pytest.mark.parametrize("name", ["Triage <b>", "日本語", "👩‍💻 chat", "a/b"])
    def test_name_in_any_language_is_taken(self, name: str) -> None:
        assert check_name(name) == name

    def test_none_and_nothing_mean_no_regulation(self) -> None:
        assert parse_regulations("none") == parse_regulations("") == ()
        assert parse_regulations("GDPR, fca,gdpr") == ("gdpr", "fca")

    def test_what_was_kept_by_a_newer_version_is_refused(self) -> None:
        with pytest.raises(UsageError, match="colour"):
            Workload.from_json({"tokens_per_day": 1, "colour": "red"})

    @given(st.builds(work, st.floats(1, 1e12), growth=st.floats(-0.5, 2)))
    def test_a_workload_comes_back_from_json(self, workload: Workload) -> None:
        assert Workload.from_json(workload.to_json()) == workload


@given(st.floats(1, 1e12))
def test_the_short_way_to_the_verdict_is_the_long_one(tokens: float) -> None:
    found = decide(work(tokens))
    assert found.verdict is verdict_of(work(tokens))
    assert found.rule.number == rule_number(work(tokens))
