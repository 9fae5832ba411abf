import json
import math
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.contract import LABEL, Contract, Field, Value, read_number
from fathom_tui.errors import UsageError
from tests.answers import (
    choices,
    contracts,
    contracts_with_canonical,
    contracts_with_values,
    numbers,
)

TICKET = Contract(
    kind="json",
    fields=(
        Field(name="category", kind="choice", choices=("card", "card_lost", "fees")),
        Field(name="amount", kind="number", nullable=True),
        Field(name="urgency", kind="choice", choices=("low", "high")),
    ),
)
ANSWER = '{"category": "card", "amount": 45, "urgency": "low"}'


# What can stand in a value: quotes, backslashes, braces, blanks inside, letters beyond ASCII.
def label(*labels: str) -> Contract:
    return Contract.of_labels(labels)


class TestRoundTrip:
    @given(contracts_with_values())
    def test_what_is_rendered_is_parsed_back(self, made: tuple[Contract, dict[str, Value]]) -> None:
        contract, values = made

        answer = contract.render(values)

        assert contract.parse(answer) == values
        assert "\n" not in answer
        if contract.kind == "json":
            assert json.loads(answer) == values

    @given(contracts_with_values())
    def test_one_set_of_values_has_one_rendering(
        self, made: tuple[Contract, dict[str, Value]]
    ) -> None:
        contract, values = made
        again: dict[str, Value] = {
            name: float(value) if isinstance(value, int) else value
            for name, value in reversed(values.items())
        }

        assert contract.render(again) == contract.render(values)

    @given(contracts())
    def test_a_contract_survives_its_json(self, contract: Contract) -> None:
        assert Contract.from_json(json.loads(json.dumps(contract.to_json()))) == contract

    @given(contracts_with_canonical())
    def test_every_answer_of_the_grammar_parses(self, made: tuple[Contract, str]) -> None:
        contract, answer = made

        assert contract.parse(answer) is not None

    @given(contracts_with_values())
    def test_no_rendering_is_longer_than_the_longest(
        self, made: tuple[Contract, dict[str, Value]]
    ) -> None:
        contract, values = made

        assert len(contract.render(values)) <= len(contract.longest())
        assert contract.parse(contract.longest()) is not None

    def test_whole_floats_lose_their_point(self) -> None:
        values: Mapping[str, Value] = {"category": "fees", "amount": 45.0, "urgency": "low"}

        assert TICKET.render(values) == '{"category": "fees", "amount": 45, "urgency": "low"}'

    @pytest.mark.parametrize(
        "values",
        [
            {"category": "fees", "urgency": "low"},
            {"category": "nope", "amount": 1, "urgency": "low"},
            {"category": "fees", "amount": 123_456_789, "urgency": "low"},
            {"category": "fees", "amount": 0.005, "urgency": "low"},
            {"category": "fees", "amount": True, "urgency": "low"},
            {"category": None, "amount": 1, "urgency": "low"},
        ],
    )
    def test_values_that_are_not_allowed_are_never_rendered(
        self, values: Mapping[str, Value]
    ) -> None:
        with pytest.raises(UsageError, match="Field '(category|amount)' has the value"):
            TICKET.render(values)


class TestParse:
    @pytest.mark.parametrize(
        "answer",
        [
            ANSWER,
            '{"urgency":"low","amount":45,"category":"card"}',
            '\n {"category": "card",\n\t"amount": 45.00, "urgency": "low"}\n',
            '{"category": "c\\u0061rd", "amount": 4.5e1, "urgency": "low"}',
        ],
    )
    def test_takes_any_order_spacing_and_spelling_of_json(self, answer: str) -> None:
        assert TICKET.parse(answer) == {"category": "card", "amount": 45, "urgency": "low"}

    @pytest.mark.parametrize(
        "answer",
        [
            "",
            "card",
            "[]",
            "null",
            ANSWER + " Hope this helps!",
            "```json\n" + ANSWER + "\n```",
            "\u00a0" + ANSWER,  # json.loads of a client would not strip it
            ANSWER.replace("45", "NaN"),
            ANSWER.replace("45", "Infinity"),
            ANSWER.replace("45", "1e999"),
            ANSWER.replace("45", "1" + "0" * 400),
            ANSWER.replace("45", "1" * 5000),
            ANSWER.replace("45", "123456789"),
            ANSWER.replace("45", "45.123"),
            ANSWER.replace("45", "007"),
            ANSWER.replace("45", "true"),
            ANSWER.replace("45", '"45"'),
            ANSWER.replace('"low"', "null"),
            ANSWER.replace('"low"', '"LOW"'),
            ANSWER.replace('"low"', '["low"]'),
            ANSWER.replace('"card"', '"\\ud800"'),
            ANSWER.replace("}", ', "urgency": "low"}'),
            ANSWER.replace("}", ', "why": "because"}'),
            '{"category": "card"}',
            '{"category": ' * 100_000,
            "[" * 100_000 + "]" * 100_000,
        ],
    )
    def test_gives_nothing_for_what_breaks_the_contract(self, answer: str) -> None:
        assert TICKET.parse(answer) is None

    def test_a_key_that_stands_twice_breaks_the_contract_whichever_would_win(self) -> None:
        twice = '{"category": "card", "category": "card", "amount": null, "urgency": "low"}'

        assert TICKET.parse(twice) is None

    @given(st.text())
    def test_never_fails(self, answer: str) -> None:
        for contract in (TICKET, label("card", "fees")):
            assert contract.parse(answer) is None or contract.may_become_valid(answer)

    def test_a_label_may_have_blanks_around_it_and_nothing_else(self) -> None:
        contract = label("card", "card lost")

        assert contract.parse(" card lost\n") == {LABEL: "card lost"}
        assert contract.parse("card.") is None
        assert contract.parse("Card") is None


class TestMayBecomeValid:
    @given(contracts_with_values())
    def test_holds_at_every_prefix_of_what_is_rendered(
        self, made: tuple[Contract, dict[str, Value]]
    ) -> None:
        contract, values = made
        answer = contract.render(values)

        assert all(contract.may_become_valid(answer[:end]) for end in range(len(answer) + 1))

    @given(
        contracts_with_values(),
        st.booleans(),
        st.sampled_from((None, 2)),
        st.sampled_from(("", " ", "\n\t ")),
    )
    def test_holds_at_every_prefix_of_any_other_spelling(
        self,
        made: tuple[Contract, dict[str, Value]],
        ascii_only: bool,
        indent: int | None,
        blanks: str,
    ) -> None:
        contract, values = made
        answer = blanks + contract.render(values) + blanks
        if contract.kind == "json":
            shuffled = dict(reversed(values.items()))
            answer = blanks + json.dumps(shuffled, ensure_ascii=ascii_only, indent=indent) + blanks

        assert contract.parse(answer) == values
        assert all(contract.may_become_valid(answer[:end]) for end in range(len(answer) + 1))

    @pytest.mark.parametrize(
        "partial",
        ["I", "The", "[", '"', "```", ANSWER + ".", ANSWER + "\n\nHope", '{"a": 1}', " " * 8],
    )
    def test_ends_where_an_answer_is_lost(self, partial: str) -> None:
        assert not TICKET.may_become_valid(partial)

    def test_a_brace_inside_a_text_ends_nothing(self) -> None:
        contract = Contract(
            kind="json", fields=(Field(name="a", kind="choice", choices=("{}", 'q"}', "z\\")),)
        )

        assert contract.may_become_valid('{"a": "{}')
        assert contract.may_become_valid('{"a": "q\\"}')
        assert contract.may_become_valid('{"a": "z\\\\"}')
        assert not contract.may_become_valid('{"a": "z"}')

    def test_a_label_goes_on_while_one_begins_so(self) -> None:
        contract = label("card", "card lost")

        assert contract.may_become_valid("card")
        assert contract.may_become_valid("card ")
        assert contract.may_become_valid("card lost \n")
        assert not contract.may_become_valid("card  l")
        assert not contract.may_become_valid("cards")


class TestForcedAfter:
    @given(contracts_with_canonical())
    def test_every_canonical_answer_goes_on_with_it(self, made: tuple[Contract, str]) -> None:
        contract, answer = made

        for end in range(len(answer) + 1):
            assert answer[end:].startswith(contract.forced_after(answer[:end]))
        assert contract.forced_after(answer) == ""

    @given(choices)
    def test_nothing_that_is_certain_is_left_out(self, labels: tuple[str, ...]) -> None:
        contract = label(*labels)

        for text in labels:
            for end in range(len(text) + 1):
                rests = {x[end:] for x in labels if x.startswith(text[:end])}
                nexts = {rest[:1] for rest in rests}
                assert (contract.forced_after(text[:end]) == "") == (
                    len(nexts) > 1 or nexts == {""}
                )

    @pytest.mark.parametrize(
        ("partial", "forced"),
        [
            ("", '{"category": "'),
            ('{"cat', 'egory": "'),
            ('{"category": "', ""),
            ('{"category": "c', "ard"),
            ('{"category": "card', ""),  # card_lost begins like this too
            ('{"category": "card_', 'lost", "amount": '),
            ('{"category": "card"', ', "amount": '),
            ('{"category": "f', 'ees", "amount": '),
            ('{"category": "fees", "amount": ', ""),
            ('{"category": "fees", "amount": n', 'ull, "urgency": "'),
            ('{"category": "fees", "amount": null', ', "urgency": "'),
            ('{"category": "fees", "amount": -', ""),
            ('{"category": "fees", "amount": 4', ""),
            ('{"category": "fees", "amount": 45.', ""),
            ('{"category": "fees", "amount": 45.5', ""),
            ('{"category": "fees", "amount": 45.25', ', "urgency": "'),
            ('{"category": "fees", "amount": 45,', ' "urgency": "'),
            ('{"category": "fees", "amount": 45, "urgency": "l', 'ow"}'),
            ('{"category": "fees", "amount": 45, "urgency": "low"', "}"),
            ('{"category": "fees", "amount": 45, "urgency": "low"}', ""),
            ('{"category": "nope', ""),
            ('{"category": "fees", "amount": x', ""),
            ('{"category": "fees", "amount": 007', ""),
            ('{"category": "fees", "amount": 45.,', ""),
            ("{ ", ""),
        ],
    )
    def test_of_a_ticket(self, partial: str, forced: str) -> None:
        assert TICKET.forced_after(partial) == forced

    @pytest.mark.parametrize(
        ("partial", "forced"),
        [("", "card"), ("ca", "rd"), ("card", ""), ("card_", "lost"), ("cardx", "")],
    )
    def test_of_labels_where_one_begins_another(self, partial: str, forced: str) -> None:
        assert label("card", "card_lost").forced_after(partial) == forced


class TestGrammar:
    def test_escapes_what_gbnf_and_json_escape(self) -> None:
        contract = Contract(
            kind="json", fields=(Field(name="a", kind="choice", choices=('say "hi"', "a\\b", "é")),)
        )

        root = contract.grammar().splitlines()[0]

        assert root == (r'root ::= "{\"a\": " ("\"say \\\"hi\\\"\"" | "\"a\\\\b\"" | "\"é\"") "}"')

    def test_of_labels_lists_them(self) -> None:
        assert label('a"b', "c\\d").grammar() == r'root ::= "a\"b" | "c\\d"'

    def test_numbers_have_the_digits_that_data_may_have(self) -> None:
        assert TICKET.grammar().splitlines()[1] == (
            'number ::= "-"? ("0" | [1-9] [0-9]{0,7}) ("." [0-9]{1,2})?'
        )


class TestReadNumber:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("", None),
            ("  null ", None),
            ("45", 45),
            ("45.0", 45),
            (" 45.50 ", 45.5),
            ("-0.05", -0.05),
            ("007", 7),
            ("12345678.91", 12345678.91),
            ("99999999", 99_999_999),
            ("1.500000", 1.5),
        ],
    )
    def test_reads_plain_decimals(self, text: str, value: Value) -> None:
        found = read_number(text)

        assert (found, type(found)) == (value, type(value))

    @pytest.mark.parametrize(
        "text", ["abc", "1e3", "1,250", "£45", "+45", ".5", "5.", "NaN", "inf", "٤٥", "4 5"]
    )
    def test_refuses_what_is_no_plain_decimal(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a number like 45 or 45.50"):
            read_number(text)

    @pytest.mark.parametrize("text", ["123456789", "-100000000", "45.123", "0.001", "9" * 400])
    def test_refuses_what_an_answer_could_not_say_and_names_it(self, text: str) -> None:
        with pytest.raises(ValueError, match=re.escape(text[:40])) as error:
            read_number(text)

        assert "more than 8 digits before its point or 2 after it" in str(error.value)
        assert len(str(error.value)) < 150

    @given(numbers)
    def test_every_number_read_can_be_rendered_and_constrained(self, number: float) -> None:
        field = Field(name="n", kind="number")

        found = read_number(f"{number:.2f}" if isinstance(number, float) else str(number))

        assert found == number
        assert field.accepts(found)
        assert re.fullmatch(r"-?(0|[1-9][0-9]{0,7})(\.[0-9]{1,2})?", json.dumps(found))


class TestMalformed:
    @pytest.mark.parametrize(
        ("choice", "why"),
        [
            ("a\nb", "spans lines"),
            ("a\rb", "spans lines"),
            ("a\u2028b", "spans lines"),
            ("a\x1b[31mb", "control characters"),
            ("\ud800", "control characters"),
            ("", "is empty"),
            (" a", "outer blanks"),
            (3, "is a int, not text"),
        ],
    )
    def test_values_that_cannot_stand_on_a_line_are_refused(self, choice: str, why: str) -> None:
        with pytest.raises(UsageError, match=why):
            label("fine", choice)

    @pytest.mark.parametrize("labels", [(), ("card",), ("card", "card")])
    def test_fewer_than_two_labels_are_refused(self, labels: tuple[str, ...]) -> None:
        with pytest.raises(UsageError, match="distinct values|twice"):
            Contract.of_labels(labels)

    @pytest.mark.parametrize("name", ["", "a b", "1a", "é", "a" * 41, 'a"'])
    def test_field_names_are_plain(self, name: str) -> None:
        with pytest.raises(UsageError, match="A field is named"):
            Field(name=name, kind="number")

    @pytest.mark.parametrize(
        "data",
        [
            {},
            {"kind": "json"},
            {"kind": "json", "fields": []},
            {"kind": "json", "fields": 3},
            {"kind": "json", "fields": ["category"]},
            {"kind": "json", "fields": [{"name": "a"}]},
            {"kind": "json", "fields": [{"name": 3, "kind": "choice"}]},
            {"kind": "json", "fields": [{"name": "a", "kind": "text"}]},
            {"kind": "json", "fields": [{"name": "a", "kind": "number"}]},
            {"kind": "json", "fields": [{"name": "a", "kind": "choice", "choices": "yes"}]},
            {"kind": "json", "fields": [{"name": "a", "kind": "choice", "choices": [1, 2]}]},
            {"kind": "json", "fields": [{"name": "a", "kind": "choice", "choices": 7}]},
            {"kind": "xml", "fields": [{"name": "a", "kind": "choice", "choices": ["x", "y"]}]},
            {"kind": "label", "fields": [{"name": "a", "kind": "choice", "choices": ["x", "y"]}]},
            {
                "kind": "json",
                "fields": [{"name": "a", "kind": "choice", "choices": ["x", "y"]}] * 2,
            },
            {
                "kind": "json",
                "fields": [
                    {"name": "a", "kind": "choice", "choices": ["x", "y"], "nullable": True}
                ],
            },
            [],
            None,
        ],
    )
    def test_a_malformed_contract_is_refused_with_a_way_out(self, data: Mapping[str, str]) -> None:
        with pytest.raises(UsageError) as error:
            Contract.from_json(data)

        assert error.value.fix


def test_a_number_is_accepted_within_the_digits_of_an_answer() -> None:
    field = Field(name="amount", kind="number")

    assert all(field.accepts(value) for value in (0, -7, 45.5, 0.01, 99_999_999, -99_999_999.99))
    refused = (None, True, "45", 10**8, 10**400, 0.001, math.nan, math.inf, -math.inf, 1e300)
    assert not any(field.accepts(value) for value in refused)


def test_labels_with_commas_are_told_apart_in_the_prompt() -> None:
    assert label("card", "fees").describe() == "Answer with exactly one of: card, fees."
    assert (
        label("card, lost", "fees").describe() == "Answer with exactly one of: card, lost | fees."
    )
