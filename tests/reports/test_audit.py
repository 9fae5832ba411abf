from dataclasses import replace

from fathom_tui.reports.audit import Evidence, audit
from fathom_tui.reports.email import email
from fathom_tui.reports.markdown import to_markdown
from tests.reports.goldens import EVIDENCE
from tests.reports.subjects import FOUR, PRIYA, SUMMARIES, UNREGULATED, subject


def test_audit_prints_every_waiver_with_its_person_and_reason() -> None:
    text = to_markdown(audit(UNREGULATED, EVIDENCE))

    assert "**data.floor** of acme-2, lifted by Ann on 2026-04-18: a pilot of 300" in text


def test_audit_without_runs_and_waivers_says_so() -> None:
    text = to_markdown(audit(UNREGULATED, Evidence()))

    assert "No run yet: nothing was measured." in text
    assert "None: no refusal was lifted." in text


def test_audit_has_the_verdict_of_every_run() -> None:
    text = to_markdown(audit(UNREGULATED, EVIDENCE))

    assert "| acme-2 | done | **pass** | Fit to ship: 0.91. |" in text
    assert "| acme-1 | refused | none |  |" in text
    assert "The test split was opened once." in text


def test_audit_has_both_verdicts_of_every_workload_and_says_where_they_differ() -> None:
    text = to_markdown(audit(subject(SUMMARIES), Evidence()))

    assert "| summaries | 2: **hybrid** | **cloud** | no | 2M |" in text
    assert "The costs disagree." in text


def test_audit_lists_every_assumption_with_kind_source_and_date() -> None:
    text = to_markdown(audit(UNREGULATED, Evidence()))

    for name in UNREGULATED.assumptions:
        assert f"| {name.replace('_', chr(92) + '_')} | measured-by-source | book, ch. 1 |" in text


def test_technique_follows_from_the_workload_until_more_is_answered() -> None:
    workload = UNREGULATED.advices[0].workload
    answered = subject(replace(workload, answers={"lacks_facts": True}))

    assert "**Technique:** A prompt with examples." in to_markdown(audit(UNREGULATED, Evidence()))
    assert "**Technique:** The base model on your own machine" in (
        to_markdown(audit(PRIYA, Evidence()))
    )
    assert "**Technique:** Retrieval: " in to_markdown(audit(answered, Evidence()))


def test_email_has_the_answer_in_its_subject() -> None:
    assert email(PRIYA).title == "Priya's ticket triage: local for 2M tokens/day"
    assert email(FOUR).title == "Northwind Bank: local, hybrid and cloud for 100M tokens/day"


def test_email_is_one_paragraph_with_the_sums() -> None:
    document = email(PRIYA)

    assert len(document.blocks) == 1
    text = to_markdown(document)
    for sum_ in ("£259", "£589", "£906", "£2,083"):
        assert sum_ in text


def test_email_on_several_workloads_names_each() -> None:
    text = to_markdown(email(FOUR))

    assert "local for triage (2M tokens/day), hybrid for support (8M tokens/day)" in text
