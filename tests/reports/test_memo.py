from dataclasses import replace

from fathom_tui.advice import advise
from fathom_tui.catalog import Assumption
from fathom_tui.currency import Currency
from fathom_tui.economics import Way
from fathom_tui.figures import Kind
from fathom_tui.reports import together
from fathom_tui.reports.document import Document, Heading, Items, Paragraph, Strong, Table, Tone
from fathom_tui.reports.markdown import to_markdown
from fathom_tui.reports.memo import memo
from tests.advising import SETTING
from tests.reports.subjects import (
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
    assert "More than the 17.3M tokens/day that the machine can answer" in text


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
            assert together.month([advice], [way]) == advice.month(way)
            alone = together.month([advice], [way]) + together.compliance([advice], [way])
            assert abs(alone - advice.costs.compared[way]) < 1e-9


def test_one_machine_serves_several_workloads() -> None:
    advices = [advise(SUPPORT, SETTING), advise(SUMMARIES, SETTING)]

    both = together.month(advices, [Way.HYBRID, Way.HYBRID])

    machine = advices[0].costs.local_terms.machine
    assert both == sum(advice.costs.hybrid for advice in advices) - machine - 12
    assert together.to_buy(advices, [Way.HYBRID, Way.LOCAL]) == 3_200 + 9_750
    assert together.to_buy(advices, [Way.CLOUD, Way.CLOUD]) == 0
