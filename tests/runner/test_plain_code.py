import pytest

from fathom_tui.contract import Contract, Field
from fathom_tui.datasets.cases import Case
from fathom_tui.runner.plain_code import Nearest, PlainCode

TICKET = Contract(
    kind="json",
    fields=(
        Field(name="category", kind="choice", choices=("card", "transfer")),
        Field(name="urgency", kind="choice", choices=("low", "high")),
        Field(name="amount", kind="number", nullable=True),
    ),
)


def case(text: str, category: str = "card", urgency: str = "low") -> Case:
    values = {"category": category, "urgency": urgency, "amount": None}
    return Case(id=text, input=text, values=values, output=TICKET.render(values))


TRAIN = [
    *(case(f"my card was stolen in shop {n}", "card", "high") for n in range(10)),
    *(case(f"the transfer to bank {n} is late", "transfer", "low") for n in range(10)),
]


def answers(train: list[Case], *texts: str) -> list[dict[str, object]]:
    found = PlainCode(TICKET, train, seed=1).answer([case(text) for text in texts])
    return [dict(values) for values in found]


def test_answers_every_choice_and_no_number() -> None:
    assert answers(TRAIN, "stolen card", "late bank transfer") == [
        {"category": "card", "urgency": "high"},
        {"category": "transfer", "urgency": "low"},
    ]


def test_the_same_seed_gives_the_same_answers() -> None:
    texts = [f"card or transfer {n}" for n in range(20)]

    assert answers(TRAIN, *texts) == answers(TRAIN, *texts)


def test_a_field_with_one_value_in_training_gets_that_value() -> None:
    train = [case(f"card number {n}", "card", ("low", "high")[n % 2]) for n in range(6)]

    (found,) = answers(train, "a transfer")

    assert found["category"] == "card"


@pytest.mark.parametrize(
    "texts",
    [
        ["a", "b", "c", "d"],  # no word of two letters
        ["🙂", "🙃", "😡", "🤬"],
        ["?!", "…", "--", "§"],
        ["one", "two", "three", "four"],  # no letters shared by two rows
    ],
)
def test_texts_without_common_words_are_no_crash(texts: list[str]) -> None:
    train = [case(text, ("card", "transfer")[n % 2]) for n, text in enumerate(texts)]

    found = answers(train, *texts, "something else")

    assert [values["category"] for values in found[:4]] == ["card", "transfer"] * 2


class TestNearest:
    train = (case("my card was stolen"), case("the bank is late"), case("my card is late"))

    def test_gives_the_most_alike_rows_the_nearest_last(self) -> None:
        shots = Nearest(self.train).shots("my card is late again", 2)

        assert [question for question, _ in shots][-1] == "my card is late"
        assert len(shots) == 2
        assert all(answer.startswith('{"category"') for _, answer in shots)

    @pytest.mark.parametrize(("count", "given"), [(0, 0), (1, 1), (3, 3), (24, 3)])
    def test_never_gives_more_than_asked_or_there_are(self, count: int, given: int) -> None:
        assert len(Nearest(self.train).shots("card", count)) == given

    def test_of_emoji_works_too(self) -> None:
        found = Nearest([case("🙂 🙂"), case("😡 😡")]).shots("😡", 1)

        assert found[0][0] == "😡 😡"
