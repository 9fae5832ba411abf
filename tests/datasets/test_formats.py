import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fathom_tui.contract import Contract, Field
from fathom_tui.datasets.formats import Dataset, infer_contract, read_dataset
from fathom_tui.errors import DatasetError

LABELS = Contract.of_labels(("card", "fees"))
TICKET = Contract(
    kind="json",
    fields=(
        Field(name="category", kind="choice", choices=("card", "fees")),
        Field(name="amount", kind="number", nullable=True),
    ),
)


def a_csv(folder: Path, content: str) -> Path:
    path = folder / "tickets.csv"
    path.write_text(content, "utf-8")
    return path


def json_lines(folder: Path, *rows: Any) -> Path:
    path = folder / "tickets.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def pairs(dataset: Dataset) -> list[tuple[str, str]]:
    return [(case.input, case.output) for case in dataset.cases]


def the_error(path: Path, contract: Contract = LABELS, **columns: str) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        read_dataset(path, contract, **columns)
    assert caught.value.fix
    return caught.value


class TestColumns:
    def test_a_label_column_gives_cases(self, tmp_path: Path) -> None:
        path = a_csv(tmp_path, "text,kind,from\n Lost it. ,card,chat\nWhy £1?, fees ,\n")

        dataset = read_dataset(path, LABELS, output="kind", stratum="from")

        assert (dataset.syntax, dataset.shape) == ("csv", "columns")
        assert pairs(dataset) == [("Lost it.", "card"), ("Why £1?", "fees")]
        assert [(c.line, c.stratum) for c in dataset.cases] == [(2, "chat"), (3, "")]
        assert dataset.cases[0].values == {"label": "card"}

    def test_the_label_column_is_called_label_unless_named(self, tmp_path: Path) -> None:
        path = a_csv(tmp_path, "text,label\nLost it.,card\n")

        assert pairs(read_dataset(path, LABELS)) == [("Lost it.", "card")]

    def test_one_column_for_each_field_gives_the_json_answer(self, tmp_path: Path) -> None:
        path = a_csv(tmp_path, "text,category,amount\nWhy £1?,fees,1.50\nLost.,card,\n")

        dataset = read_dataset(path, TICKET)

        assert [case.values for case in dataset.cases] == [
            {"category": "fees", "amount": 1.5},
            {"category": "card", "amount": None},
        ]
        assert dataset.cases[1].output == '{"category": "card", "amount": null}'

    def test_fields_of_json_rows_keep_their_types(self, tmp_path: Path) -> None:
        path = json_lines(tmp_path, {"text": "Why £45?", "category": "fees", "amount": 45.0})

        assert read_dataset(path, TICKET).cases[0].output == '{"category": "fees", "amount": 45}'

    @pytest.mark.parametrize(
        "answer",
        [{"category": "fees", "amount": 1}, '{"amount": 1, "category": "fees"}'],
    )
    def test_a_column_may_hold_the_whole_answer(self, tmp_path: Path, answer: object) -> None:
        path = json_lines(tmp_path, {"text": "Why £1?", "answer": answer})

        dataset = read_dataset(path, TICKET, output="answer")

        assert dataset.cases[0].output == '{"category": "fees", "amount": 1}'

    def test_labels_of_json_may_be_true_or_a_number(self, tmp_path: Path) -> None:
        path = json_lines(tmp_path, {"text": "a", "label": True}, {"text": "b", "label": False})

        assert infer_contract(path).fields[0].choices == ("false", "true")

    def test_two_readings_give_the_same_ids_in_any_order(self, tmp_path: Path) -> None:
        first = read_dataset(a_csv(tmp_path, "text,label\na,card\nb,fees\n"), LABELS)
        second = read_dataset(a_csv(tmp_path, "text,label\nb,fees\na,card\n"), LABELS)

        assert [c.id for c in first.cases] == [c.id for c in reversed(second.cases)]
        assert first.sha256 != second.sha256


class TestWrongColumns:
    def test_a_missing_input_column_lists_those_there_are(self, tmp_path: Path) -> None:
        path = a_csv(tmp_path, "texts,label\na,card\n")

        error = the_error(path)

        assert error.message == f"{path} has no column 'text'. Did you mean 'texts'?"
        assert error.fix == "Name one with --input; there are: texts, label."

    def test_a_missing_output_column_lists_those_there_are(self, tmp_path: Path) -> None:
        error = the_error(a_csv(tmp_path, "text,kind\na,card\n"), output="category")

        assert "has no column 'category'" in error.message
        assert error.fix == "Name one with --output; there are: text, kind."

    def test_a_missing_stratum_column_lists_those_there_are(self, tmp_path: Path) -> None:
        error = the_error(a_csv(tmp_path, "text,label\na,card\n"), stratum="channel")

        assert error.fix == "Name one with --stratum; there are: text, label."

    def test_missing_field_columns_are_named(self, tmp_path: Path) -> None:
        error = the_error(a_csv(tmp_path, "text,category\na,card\n"), TICKET)

        assert "no column for the contract's fields amount" in error.message


class TestFaultyRows:
    def test_every_value_outside_the_contract_is_named(self, tmp_path: Path) -> None:
        path = a_csv(tmp_path, "text,label\na,card\nb,loan\nc,Card\n")

        assert the_error(path).message == (
            f'{path}:3: label is \'loan\'; allowed: "card" | "fees".\n'
            f'{path}:4: label is \'Card\'; allowed: "card" | "fees".'
        )

    @pytest.mark.parametrize("blank", ["", "  ", '" \n "'])
    def test_an_empty_input_is_named(self, tmp_path: Path, blank: str) -> None:
        path = a_csv(tmp_path, f"text,label\na,card\n{blank},fees\n")

        assert the_error(path).message == f"{path}:3: the input is empty."

    def test_an_empty_label_is_named(self, tmp_path: Path) -> None:
        path = a_csv(tmp_path, "text,label\na,\n")

        assert the_error(path).message == f"{path}:2: the label is empty."

    @pytest.mark.parametrize(
        ("row", "what"),
        [
            ({"label": "card"}, "the row has no 'text'"),
            ({"text": "a"}, "the row has no 'label'"),
            ({"text": 7, "label": "card"}, "the input is a JSON int, not text"),
            ({"text": None, "label": "card"}, "the input is a JSON NoneType, not text"),
            ({"text": "a", "label": 1.5}, "the label is a JSON float, not text"),
            ({"text": "a", "label": ["card"]}, "the label is a JSON list, not text"),
            ({"text": "a\0b", "label": "card"}, "a NUL character stands in the text"),
            ({"text": "\ud83d", "label": "card"}, "\\ud83d is half a character"),
        ],
    )
    def test_a_faulty_json_row_is_named(
        self, tmp_path: Path, row: dict[str, object], what: str
    ) -> None:
        path = json_lines(tmp_path, {"text": "fine", "label": "card"}, row)

        assert the_error(path).message.startswith(f"{path}:2: {what}")

    @pytest.mark.parametrize(
        ("answer", "what"),
        [
            ("not json", "the answer 'not json' is not JSON"),
            ("[" * 200_000, "is not JSON"),
            ("[1]", "the answer [1] is not a JSON object"),
            ({"category": "fees"}, "the answer lacks 'amount'"),
            ({"category": "fees", "amount": 1, "x": 1}, "the answer has a surplus 'x'"),
            ({"category": "loan", "amount": 1}, "category is 'loan'; allowed"),
            ({"category": "fees", "amount": "much"}, "'much' is not a number"),
            ({"category": "fees", "amount": True}, "amount is a JSON bool, not a number"),
            ({"category": "fees", "amount": 1e30}, "is not a number like 45"),
            ({"category": "fees", "amount": float("nan")}, "is not a number like 45"),
        ],
    )
    def test_an_answer_that_breaks_the_contract_is_named(
        self, tmp_path: Path, answer: object, what: str
    ) -> None:
        path = json_lines(tmp_path, {"text": "a", "answer": answer})

        assert what in the_error(path, TICKET, output="answer").message

    def test_a_null_where_none_is_allowed_is_named(self, tmp_path: Path) -> None:
        contract = Contract(
            kind="json", fields=(TICKET.fields[0], Field(name="amount", kind="number"))
        )
        path = a_csv(tmp_path, "text,category,amount\na,card,\n")

        assert "does not allow null" in the_error(path, contract).message


class TestShapes:
    def test_chat_messages_give_the_last_question_and_answer(self, tmp_path: Path) -> None:
        path = json_lines(
            tmp_path,
            {
                "messages": [
                    {"role": "system", "content": "Classify."},
                    {"role": "user", "content": "Hello"},
                    {"role": "assistant", "content": "Hi"},
                    {"role": "user", "content": "Lost it."},
                    {"role": "assistant", "content": "card"},
                ]
            },
        )

        dataset = read_dataset(path, LABELS)

        assert dataset.shape == "messages"
        assert pairs(dataset) == [("Lost it.", "card")]
        assert dataset.notes == (
            "Left out in 1 rows: system messages: the recipe's instruction replaces them.",
            "Left out in 1 rows: earlier turns: a case is the last question and its answer.",
        )

    @pytest.mark.parametrize(
        ("roles", "what"),
        [
            (["user", "user", "assistant"], "turn 2 is from user, but roles alternate"),
            (["assistant", "user"], "turn 1 is from assistant, but roles alternate"),
            (["user", "assistant", "user"], "does not end with an answer"),
            (["user"], "does not end with an answer"),
            (["system"], "does not end with an answer"),
            (["user", "system", "assistant"], "turn 2 is from system"),
            (["user", "tool"], "message 2 has role = 'tool'"),
        ],
    )
    def test_roles_that_do_not_alternate_are_named(
        self, tmp_path: Path, roles: list[str], what: str
    ) -> None:
        messages = [{"role": role, "content": "card"} for role in roles]

        message = the_error(json_lines(tmp_path, {"messages": messages})).message

        assert what in message
        assert "tickets.jsonl:1:" in message

    @pytest.mark.parametrize(
        ("messages", "what"),
        [
            (None, "is not a list of messages"),
            ([], "is not a list of messages"),
            (["hello"], "message 1 is not an object"),
            ([{"role": "user", "content": [{"type": "image"}]}], "message 1 has no text"),
            ([{"content": "hello"}], "message 1 has role = None"),
        ],
    )
    def test_malformed_messages_are_named(
        self, tmp_path: Path, messages: object, what: str
    ) -> None:
        assert what in the_error(json_lines(tmp_path, {"messages": messages})).message

    def test_sharegpt_gives_the_last_question_and_answer(self, tmp_path: Path) -> None:
        turns = [{"from": "human", "value": "Lost it."}, {"from": "gpt", "value": "card"}]

        dataset = read_dataset(json_lines(tmp_path, {"conversations": turns}), LABELS)

        assert (dataset.shape, pairs(dataset)) == ("sharegpt", [("Lost it.", "card")])

    def test_prompt_and_completion_are_message_and_answer(self, tmp_path: Path) -> None:
        path = json_lines(tmp_path, {"prompt": "Lost it.", "completion": " card"})

        dataset = read_dataset(path, LABELS)

        assert (dataset.shape, pairs(dataset)) == ("prompt-completion", [("Lost it.", "card")])

    def test_prompt_and_completion_may_be_messages(self, tmp_path: Path) -> None:
        row = {
            "prompt": [{"role": "user", "content": "Lost it."}],
            "completion": [{"role": "assistant", "content": "card"}],
        }

        assert pairs(read_dataset(json_lines(tmp_path, row), LABELS)) == [("Lost it.", "card")]

    def test_alpaca_leaves_out_an_instruction_that_never_changes(self, tmp_path: Path) -> None:
        path = json_lines(
            tmp_path,
            {"instruction": "Classify.", "input": "Lost it.", "output": "card"},
            {"instruction": "Classify.", "input": "Why £1?", "output": "fees"},
        )

        dataset = read_dataset(path, LABELS)

        assert dataset.shape == "alpaca"
        assert pairs(dataset) == [("Lost it.", "card"), ("Why £1?", "fees")]
        assert dataset.notes == ("Left out in 2 rows: the instruction, the same in every row.",)

    def test_alpaca_joins_instructions_that_differ_with_their_input(self, tmp_path: Path) -> None:
        path = json_lines(
            tmp_path,
            {"instruction": "Lost it.", "input": "", "output": "card"},
            {"instruction": "Classify:", "input": "Why £1?", "output": "fees"},
        )

        assert pairs(read_dataset(path, LABELS, input="input", output="output")) == [
            ("Lost it.", "card"),
            ("Classify:\n\nWhy £1?", "fees"),
        ]

    def test_columns_asked_for_by_name_win_over_a_known_shape(self, tmp_path: Path) -> None:
        row = {"instruction": "Lost it.", "output": "x", "kind": "card", "messages": []}

        dataset = read_dataset(
            json_lines(tmp_path, row), LABELS, input="instruction", output="kind"
        )

        assert pairs(dataset) == [("Lost it.", "card")]


class TestInferContract:
    def test_distinct_labels_make_the_contract_whatever_their_order(self, tmp_path: Path) -> None:
        path = a_csv(tmp_path, "text,kind\na,fees\nb,card\nc,fees\n")

        contract = infer_contract(path, "text", "kind")

        assert contract == LABELS

    def test_one_class_only_is_refused(self, tmp_path: Path) -> None:
        path = a_csv(tmp_path, "text,label\na,card\nb,card\n")

        with pytest.raises(DatasetError, match="all 2 rows have the label 'card'"):
            infer_contract(path)

    def test_free_text_is_no_label(self, tmp_path: Path) -> None:
        rows = "".join(f"question {n},answer {n}\n" for n in range(20))

        with pytest.raises(DatasetError, match="20 different labels in 20 rows"):
            infer_contract(a_csv(tmp_path, "text,label\n" + rows))

    def test_one_label_in_two_spellings_is_refused(self, tmp_path: Path) -> None:
        path = a_csv(tmp_path, "text,label\na,card\nb,Card\nc,fees\nd,card\n")

        with pytest.raises(DatasetError) as caught:
            infer_contract(path)

        assert caught.value.message == (
            f"{path}: one label in 2 spellings: 'card' (line 2, 2 rows), 'Card' (line 3, 1 rows)."
        )

    @pytest.mark.parametrize("label", ['{"a": 1}', "two\nlines", ""])
    def test_an_answer_that_is_no_label_is_named(self, tmp_path: Path, label: str) -> None:
        path = json_lines(tmp_path, {"text": "a", "label": "card"}, {"text": "b", "label": label})

        with pytest.raises(DatasetError, match=r"tickets\.jsonl:2: the label"):
            infer_contract(path)

    def test_labels_of_chat_messages_are_the_answers(self, tmp_path: Path) -> None:
        def row(question: str, answer: str) -> dict[str, object]:
            return {
                "messages": [
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": answer},
                ]
            }

        path = json_lines(tmp_path, row("a", "fees"), row("b", "card"))

        assert infer_contract(path) == LABELS


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "category", "amount"]), inner
        )
    ),
    max_leaves=8,
)
names = st.sampled_from(
    ["text", "label", "messages", "conversations", "prompt", "completion", "instruction", "output"]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.dictionaries(names, json_values, min_size=1), min_size=1, max_size=4),
    contract=st.sampled_from([LABELS, TICKET]),
)
def test_any_json_rows_are_read_or_refused_and_never_crash(
    tmp_path: Path, rows: list[dict[str, object]], contract: Contract
) -> None:
    path = json_lines(tmp_path, *rows)

    try:
        dataset = read_dataset(path, contract)
    except DatasetError as error:
        assert str(path) in error.message
    else:
        assert all(contract.parse(case.output) == case.values for case in dataset.cases)
