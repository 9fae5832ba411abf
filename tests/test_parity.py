import json
from dataclasses import replace

import pytest

from fathom_tui.parity import (
    Cause,
    Mismatch,
    ParityCase,
    ParityReference,
    Said,
    name_answer,
    name_count,
    name_text,
    name_tokens,
    share,
)

SYSTEM = "You are the triage desk."
PROMPT = (
    f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
    "<|im_start|>assistant\n"
)
BOS, EOS = 1, 2


def named(found: str, expected: str = PROMPT, *, bos: str = "<s>") -> Cause | None:
    mismatch = name_text("c1", expected, found, system=SYSTEM, bos=bos)
    return None if mismatch is None else mismatch.cause


class TestRenderedPrompts:
    def test_that_are_equal_differ_in_nothing(self) -> None:
        assert named(PROMPT) is None

    def test_a_bos_before_one_that_is_there_is_named(self) -> None:
        assert named("<s>" + "<s>" + PROMPT, "<s>" + PROMPT) is Cause.BOS_TWICE

    def test_a_bos_that_training_never_saw_is_named(self) -> None:
        assert named("<s>" + PROMPT) is Cause.BOS_ADDED
        assert named("<s><s>" + PROMPT) is Cause.BOS_ADDED

    def test_a_bos_that_is_gone_is_named(self) -> None:
        assert named(PROMPT, "<s>" + PROMPT) is Cause.BOS_MISSING

    def test_a_default_system_text_in_place_of_ours_is_named(self) -> None:
        assert named(PROMPT.replace(SYSTEM, "You are a helpful AI.")) is Cause.SYSTEM_INSERTED

    def test_a_default_system_text_before_ours_is_named(self) -> None:
        put = "<|im_start|>system\nYou are a helpful AI.<|im_end|>\n"

        assert named(put + PROMPT) is Cause.SYSTEM_INSERTED

    def test_a_system_text_that_is_dropped_is_named(self) -> None:
        lost = PROMPT.replace(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n", "")

        assert named(lost) is Cause.SYSTEM_LOST

    @pytest.mark.parametrize(
        "found",
        [
            PROMPT.removesuffix("<|im_start|>assistant\n"),
            PROMPT.replace("<|im_start|>user\n", "USER: "),
            PROMPT + " ",
            "",
        ],
    )
    def test_any_other_difference_is_the_templates(self, found: str) -> None:
        wanted = Cause.SYSTEM_LOST if not found else Cause.TEMPLATE

        assert named(found) is wanted

    def test_a_model_without_bos_cannot_have_it_twice(self) -> None:
        assert named("<s>" + PROMPT, bos="") is Cause.TEMPLATE

    def test_say_where_they_part(self) -> None:
        mismatch = name_text("c7", "abc", "abd", system="", bos="")

        assert str(mismatch) == "template (case c7): at character 2: trained 'c', found 'd'"


class TestTokens:
    @pytest.mark.parametrize(
        ("expected", "found", "cause"),
        [
            ([5, 6, EOS], [5, 6, EOS], None),
            ([BOS, 5, EOS], [BOS, BOS, 5, EOS], Cause.BOS_TWICE),
            ([5, EOS], [BOS, 5, EOS], Cause.BOS_ADDED),
            ([BOS, 5, EOS], [5, EOS], Cause.BOS_MISSING),
            ([5, 6, EOS], [5, 6], Cause.EOS_MISSING),
            ([5, 6, EOS], [5, 6, 60, 61, 62], Cause.EOS_MISSING),  # spelt in pieces
            ([5, 6, 7, EOS], [5, 8, 7, EOS], Cause.TOKENIZER),
        ],
    )
    def test_name_their_difference(
        self, expected: list[int], found: list[int], cause: Cause | None
    ) -> None:
        mismatch = name_tokens("c1", expected, found, bos=BOS, eos=EOS)

        assert (mismatch and mismatch.cause) == cause

    @pytest.mark.parametrize(
        ("expected", "count", "cause"),
        [
            ([BOS, 5, 6], 3, None),
            ([BOS, 5, 6], 4, Cause.BOS_TWICE),
            ([5, 6], 3, Cause.BOS_ADDED),
            ([BOS, 5, 6], 2, Cause.BOS_MISSING),
            ([5, 6], 31, Cause.TEMPLATE),
        ],
    )
    def test_a_servers_count_gives_a_bos_away(
        self, expected: list[int], count: int, cause: Cause | None
    ) -> None:
        mismatch = name_count("c1", expected, count, bos=BOS)

        assert (mismatch and mismatch.cause) == cause


class TestAnswers:
    ENDED = Said(tokens=(7, 8, EOS), text="card", ended=True)

    @pytest.mark.parametrize(
        ("found", "reason", "cause"),
        [
            ("card", "stop", None),
            (" card\n", "stop", None),
            ("fees", "stop", Cause.ANSWER),
            ("card card card", "length", Cause.EOS_MISSING),
            ("card", "length", Cause.EOS_MISSING),
            ("fees fees", "length", Cause.ANSWER),
        ],
    )
    def test_of_a_model_that_ended_must_end(
        self, found: str, reason: str, cause: Cause | None
    ) -> None:
        mismatch = name_answer("c1", self.ENDED, found, finish_reason=reason)

        assert (mismatch and mismatch.cause) == cause

    def test_that_were_cut_may_go_on(self) -> None:
        cut = replace(self.ENDED, ended=False)

        assert name_answer("c1", cut, "card payment", finish_reason="length") is None

    def test_share_of_nothing_is_unknown(self) -> None:
        assert share([]) is None
        assert share([True, False, True, True]) == 0.75


def test_a_reference_survives_its_file() -> None:
    said = TestAnswers.ENDED
    case = ParityCase(
        id="c1", input="é", rendered="p", whole="pq", tokens=(1,), whole_tokens=(1, 2)
    )
    found = ParityReference(
        bos=None, bos_text="", ends=(2, 0), cases=(case, replace(case, adapter=said, merged=said))
    )

    again = ParityReference.from_json(json.loads(json.dumps(found.to_json())))

    assert again == found
    assert again.asked == found.cases[1:]
    assert again.eos == 2


def test_a_mismatch_says_case_and_cause() -> None:
    mismatch = Mismatch(case="c1", cause=Cause.EOS_MISSING, detail="it goes on")

    assert str(mismatch) == "EOS missing (case c1): it goes on"
    assert mismatch.to_json() == {"case": "c1", "cause": "EOS missing", "detail": "it goes on"}
