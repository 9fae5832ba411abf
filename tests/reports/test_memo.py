import math
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.advice import advise
from fathom_tui.catalog_types import Assumption
from fathom_tui.currency import Currency
from fathom_tui.economics import Way
from fathom_tui.figures import Kind
from fathom_tui.reports import capacity, together
from fathom_tui.reports.document import Document, Heading, Items, Paragraph, Strong, Table, Tone
from fathom_tui.reports.email import email
from fathom_tui.reports.markdown import to_markdown
from fathom_tui.reports.memo import memo
from fathom_tui.reports.subject import Subject
from fathom_tui.workload import Workload
from tests.advising import SETTING
from tests.reports.subjects import (
    CONTRACTS,
    FOUR,
    PRIYA,
    SUMMARIES,
    SUPPORT,
    TRIAGE,
    UNMEASURED,
    UNREGULATED,
    subject,
)


def words(document: Document) -> str:
    return to_markdown(document)


def bottom_line(document: Document) -> str:
    (line,) = (
        block
        for block in document.blocks
        if isinstance(block, Paragraph) and block.tone is Tone.VERDICT
    )
    return "".join(piece.text for piece in line.text if isinstance(piece, Strong)) + "".join(
        piece for piece in line.text if isinstance(piece, str)
    )


def options(document: Document) -> list[list[str]]:
    """Return the cells of the table of options, notes left out."""
    tables = [block for block in document.blocks if isinstance(block, Table)]
    table = next(each for each in tables if each.header[0] == ("Option",))
    return [["".join(p for p in cell if isinstance(p, str)) for cell in row] for row in table.rows]


def test_memo_goes_from_the_situation_to_the_risk() -> None:
    headings = [block.text for block in memo(PRIYA).blocks if isinstance(block, Heading)]

    assert headings == ["Situation", "Three options", "Recommendation", "Risk"]


def test_regulated_data_is_recommended_local_whatever_it_costs() -> None:
    line = bottom_line(memo(PRIYA))

    assert line.startswith("Recommended: Local. ")
    assert "GDPR and FCA" in line
    assert "A hybrid is open only to data that is not personal." in line


def test_regulated_data_that_is_not_personal_leaves_a_hybrid_open() -> None:
    line = bottom_line(memo(subject(replace(TRIAGE, personal=False))))

    assert "As the data is not personal, a hybrid is open to it as well." in line


def test_memo_says_where_rule_and_costs_disagree() -> None:
    line = bottom_line(memo(subject(SUMMARIES)))

    assert "Recommended: Hybrid." in line
    assert (
        "The costs disagree. The rule says hybrid; the cheapest at 2M tokens/day is cloud" in line
    )


def test_the_bill_of_the_book_stands_in_the_situation() -> None:
    """2M tokens a day at $5.40 are $324, £259 a month."""
    assert "claude-sonnet-4 costs **£259 a month**" in words(memo(PRIYA))


def test_options_have_weeks_purchase_month_and_first_year() -> None:
    rows = options(memo(UNREGULATED))

    assert [row[1].replace("\N{NO-BREAK SPACE}", " ") for row in rows] == [
        "1 week",
        "4–6 weeks",
        "6–10 weeks",
    ]
    # 3,200 + 9,750; and 12 x (91 of electricity + 320 of operations) on top.
    assert rows[2][2:] == ["£12,950", "£906", "£17,879"]
    assert rows[0][2:] == ["nothing", "£1,037", "£12,442"]


def test_compliance_has_a_column_only_where_data_is_regulated() -> None:
    assert [row[4] for row in options(memo(PRIYA))] == ["£2,083", "£2,083", "£0"]
    assert len(options(memo(UNREGULATED))[0]) == 5


def test_crossover_moves_as_prices_fall() -> None:
    text = words(memo(UNREGULATED))

    assert "| Prices fall 40% a year | 3.86M | 6.43M | 10.7M | 17.8M |" in text
    assert "| Prices fall 60% a year | 3.86M | 9.64M | 24.1M | 60.2M |" in text


def test_crossover_beyond_the_capacity_is_marked() -> None:
    setting = replace(SETTING, machine=replace(SETTING.machine, tokens_per_s=200))

    text = words(memo(subject(SUPPORT, setting=setting)))

    assert "60.2M †" in text
    assert "More than the 17.3M tokens/day that one machine can answer" in text


def test_unknown_speed_is_said_to_be_unknown() -> None:
    text = words(memo(subject(SUPPORT, setting=UNMEASURED)))

    assert "How much 2 x RTX 4090 can answer is unknown." in text
    assert "†" not in text


def test_growth_names_the_month_of_the_flip() -> None:
    (changes,) = (block for block in memo(UNREGULATED).blocks[:-2] if isinstance(block, Items))

    assert changes.items[0] == (
        "In 1.6 months, at 15% growth a month, the rule's verdict becomes local.",
    )


def test_several_workloads_have_a_row_each_and_a_total() -> None:
    tables = [block for block in memo(FOUR).blocks if isinstance(block, Table)]

    assert [row[0][0] for row in tables[0].rows] == [
        "triage (GDPR and FCA)",
        "support",
        "search",
        "contracts",
        "All together",
    ]
    assert tables[0].total


def test_every_note_has_source_and_date_and_is_cited_in_order() -> None:
    document = memo(FOUR)
    text = words(document)

    marks = [text.index(f"[^{number}]") for number in range(1, len(document.notes) + 1)]
    assert marks == sorted(marks)
    assert all(note.source and len(note.as_of) == 10 for note in document.notes)


def test_old_prices_are_flagged() -> None:
    assert "219 days before this report" in words(memo(subject(SUPPORT, date="2026-11-20")))
    assert "before this report" not in words(memo(UNREGULATED))


def test_sums_are_in_the_currency_asked_for() -> None:
    text = words(memo(subject(SUPPORT, currency=Currency(code="usd", per_gbp=1.25))))

    assert "**$1,296 a month**" in text
    assert "figures in USD" in text


def test_a_changed_assumption_is_said_to_be_given() -> None:
    row = Assumption(
        id="operations_gbp",
        name="Operations",
        origin=replace(
            PRIYA.assumptions["operations_gbp"].origin,
            source="given for this report",
            kind=Kind.ASSUMED,
        ),
        value=320,
        unit="GBP/month",
    )
    given = replace(PRIYA, assumptions={**PRIYA.assumptions, "operations_gbp": row})

    notes = [note for note in memo(given).notes if note.source == "given for this report"]
    assert [note.text[:10] for note in notes] == ["Operations"]


def test_one_workload_together_costs_what_it_costs_alone() -> None:
    for workload in (TRIAGE, SUPPORT, SUMMARIES):
        advice = advise(workload, SETTING)
        for way in Way:
            alone = (together.month([advice], [way]) or 0) + together.compliance([advice], [way])
            assert abs(alone - advice.costs.compared[way]) < 1e-9


def test_one_machine_serves_several_workloads() -> None:
    advices = [advise(SUPPORT, SETTING), advise(SUMMARIES, SETTING)]

    both = together.month(advices, [Way.HYBRID, Way.HYBRID])

    machine = advices[0].costs.local_terms.machine
    assert both == sum(advice.costs.hybrid or 0 for advice in advices) - machine - 12
    assert together.to_buy(advices, [Way.HYBRID, Way.LOCAL]) == 3_200 + 9_750
    assert together.to_buy(advices, [Way.CLOUD, Way.CLOUD]) == 0


OVER = replace(SUPPORT, tokens_per_day=200e6, growth=0.0)
"""Three machines of 77.8M tokens a day, and two for a hybrid's 70%."""


@pytest.mark.parametrize("report", [memo, email])
def test_volume_over_the_capacity_says_how_many_machines(
    report: Callable[[Subject], Document],
) -> None:
    text = words(report(subject(OVER)))

    assert "One 2 x RTX 4090 answers at most 77.8M tokens/day: 3 machines would be needed" in text
    assert "2 for a hybrid, and the sums are for as many." in text


def test_options_name_and_buy_as_many_machines_as_it_takes() -> None:
    cloud, hybrid, local = options(memo(subject(OVER)))

    assert cloud[2] == "nothing"
    assert hybrid[0].endswith("70% on 2 machines, each 2 x RTX 4090, the rest at the API")
    assert local[0].strip() == ": 3 machines, each 2 x RTX 4090"
    assert (hybrid[2], local[2]) == ("£6,400", "£19,350")


@pytest.mark.parametrize("report", [memo, email])
def test_unknown_speed_leaves_open_whether_one_machine_is_enough(
    report: Callable[[Subject], Document],
) -> None:
    found = subject(SUPPORT, setting=UNMEASURED)

    assert "nobody knows whether one is enough" in words(report(found))


def test_options_say_that_enough_is_unknown() -> None:
    rows = options(memo(subject(SUPPORT, setting=UNMEASURED)))

    assert ["(enough? unknown)" in row[0] for row in rows] == [False, True, True]


def test_several_workloads_share_the_machines_that_they_need_together() -> None:
    text = words(memo(FOUR))

    assert "All together take 1.3 times what one 2 x RTX 4090 answers" in text
    assert "Full local**: 2 machines, each 2 x RTX 4090" in text


def test_growth_past_the_machine_names_the_month() -> None:
    """8M x 1.15^n x 70% is over 77.8M from n = 19, the whole of 8M from n = 17."""
    local = replace(SUPPORT, regulations=("gdpr",))

    assert "more than one machine answers in month 19" in words(memo(UNREGULATED))
    assert "more than one machine answers in month 17" in words(email(subject(local)))


def test_growth_after_the_write_off_or_past_an_unknown_machine_is_not_spoken_of() -> None:
    slow = replace(SUPPORT, growth=0.01)

    assert capacity.outgrown(subject(slow)) == ""
    assert capacity.outgrown(subject(SUPPORT, setting=UNMEASURED)) == ""
    assert capacity.outgrown(subject(replace(SUPPORT, growth=-0.2))) == ""


@given(
    tokens=st.floats(1, 1e15),
    growth=st.floats(-0.99, 10),
    months=st.floats(0.5, 1e12),
)
def test_month_of_outgrowing_is_the_one_of_compound_growth(
    tokens: float, growth: float, months: float
) -> None:
    setting = replace(SETTING, market=replace(SETTING.market, months=months))
    workload = Workload(tokens_per_day=tokens, growth=growth, regulations=("gdpr",))
    found = subject(workload, setting=setting)

    said = re.search(r"in month (\d+), before", capacity.outgrown(found))

    limit = (found.main.costs.machines or 0) * (found.main.capacity or 0)
    month = int(said[1]) if said else min(math.floor(months), 600) + 1
    assert growth <= 0 or tokens * (1 + growth) ** (month - 1) <= limit * (1 + 1e-9)
    assert said is None or tokens * (1 + growth) ** month > limit * (1 - 1e-9)


@pytest.mark.parametrize("report", [memo, email])
def test_cheaper_api_is_named_beside_a_verdict_that_costs_more(
    report: Callable[[Subject], Document],
) -> None:
    text = words(report(subject(CONTRACTS)))

    assert "gemini-2.0-flash, the cheapest API in the table, would cost £255" in text
    assert "the cheapest API in the table, would cost" not in words(report(PRIYA))
    assert "would cost less for support (£31), search (£1.92) and contracts (£255)" in words(
        report(FOUR)
    )


def test_memo_ends_with_the_setting_it_used() -> None:
    last = memo(UNREGULATED).blocks[-1]

    assert isinstance(last, Paragraph)
    assert last.text == (
        "Computed for 2 x RTX 4090 at £3,200 against claude-sonnet-4 (prices of 15 April 2026); "
        "assumptions changed: none. The workload does not keep these: they were chosen for this "
        "memo.",
    )


@given(tokens=st.lists(st.floats(1, 1e12), min_size=1, max_size=3))
def test_workload_alone_costs_together_what_the_cost_model_says(tokens: list[float]) -> None:
    for volume in tokens:
        advice = advise(Workload(tokens_per_day=volume), SETTING)
        for way in Way:
            alone = together.month([advice], [way])
            assert alone == pytest.approx(advice.costs.compared[way], rel=1e-9)


TWO = subject(TRIAGE, replace(SUMMARIES, name="support", growth=0.15))
"""A machine that is there for the one is there for the other."""


def test_recommended_mix_is_an_option_with_its_sum() -> None:
    row = options(memo(TWO))[-1]

    assert row[0] == ": the mix"
    assert row[2:] == ["£12,950", "£996", "£0", "£18,956"]
    assert (
        "The recommended mix, a month: machine £500 + router £12 + fine-tune £406 + API £78 = £996."
        in words(memo(TWO))
    )


def test_mix_is_no_option_where_all_go_the_same_way() -> None:
    assert len(options(memo(subject(SUPPORT, SUMMARIES)))) == 3


def test_machine_that_is_there_is_not_held_against_the_next_workload() -> None:
    """Alone 2M tokens a day cost least in the cloud; beside a paid machine a hybrid does."""
    assert not TWO.advices[1].agrees
    assert together.cheapest_for(TWO.advices, [Way.LOCAL, Way.HYBRID], 1) is Way.HYBRID

    text = words(memo(TWO))

    assert "≠" not in text and "On cost alone" not in text
    assert "| support | 2: hybrid | hybrid |" in text


def test_way_that_is_dearer_with_the_others_as_they_are_is_said_with_the_sum() -> None:
    text = words(memo(FOUR))

    assert "On cost alone another way would be cheaper for search (hybrid)." in text
    assert "On cost alone hybrid would be £45 a month cheaper." in text


def test_growth_says_to_what_it_changes_the_verdict() -> None:
    assert "Growth changes the rule's verdict to local in 11.5 months." in words(memo(TWO))


def test_every_point_of_a_single_workload_is_named() -> None:
    text = words(memo(FOUR))

    assert "batching would halve the bill (triage, support and search)" in text
    assert "no API promises 150 ms (search)" in text


def test_single_memo_says_why_and_which_to_follow() -> None:
    text = words(memo(subject(SUMMARIES)))

    assert "Rule 2 goes by volume alone" in text and "= 5.64M tokens/day" in text
    assert "For money alone follow the costs" in text


def test_compliance_comes_on_top_of_the_cheapest_api() -> None:
    assert "would be £7.68[^2] with compliance on top, if its answers" in words(memo(PRIYA))


def test_fine_tune_of_a_machine_alone_is_accounted_for() -> None:
    text = words(memo(PRIYA))

    assert "it is kept although the work starts with the base model on your own machine" in text
    assert "Without it full local is £500 a month." in text


def test_hybrid_is_broken_into_its_parts() -> None:
    assert "machine £500 + router £12 + API £311" in words(memo(UNREGULATED))


@pytest.mark.parametrize("report", [memo, email])
def test_unknown_speed_leaves_no_sum_of_a_machine(
    report: Callable[[Subject], Document],
) -> None:
    text = words(report(subject(SUPPORT, setting=UNMEASURED)))

    assert "The costs cannot be compared" in text
    assert "£823" not in text and "£906" not in text and "3.86M" not in text


def test_options_of_unknown_speed_are_unknown() -> None:
    rows = options(memo(subject(SUPPORT, TRIAGE, setting=UNMEASURED)))

    assert [row[2:4] for row in rows] == [
        ["nothing", "£1,296"],
        ["unknown", "unknown"],
        ["unknown", "unknown"],
        ["unknown", "unknown"],
    ]


def test_operations_of_several_machines_are_in_the_notes() -> None:
    assert "25% of that for each further one, £480 for 3" in words(memo(subject(OVER)))
