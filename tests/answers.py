"""Contracts and answers to them, for properties."""

import json

from hypothesis import strategies as st

from fathom_tui.contract import DECIMALS, INTEGER_DIGITS, Contract, Field, Value

# Neither unassigned characters: a small model's vocabulary may lack their bytes.
letters = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn", "Co"))
texts = st.one_of(
    # Some that begin one another, for that is where an end is not certain.
    st.sampled_from(("card", "card lost", "card_lost", "a", "a}", 'a"', "a\\", "é", "日本", "{}")),
    st.text(letters, min_size=1, max_size=6).filter(lambda text: text == text.strip()),
)
choices = st.lists(texts, min_size=2, max_size=4, unique=True).map(tuple)
names = st.sampled_from(("category", "a", "B_2", "_x", "amount_gbp", "n"))
numbers = st.integers(-(10**INTEGER_DIGITS) + 1, 10**INTEGER_DIGITS - 1) | st.decimals(
    "-99999999.99", "99999999.99", places=DECIMALS
).map(float)
NUMBER_SPELLINGS = ("0", "-0", "7", "-7", "45", "45.0", "45.5", "45.50", "0.05", "12345678.91")


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    if draw(st.booleans()):
        return Contract.of_labels(draw(choices))
    fields = [
        Field(name=name, kind="choice", choices=draw(choices))
        if position == 0 or draw(st.booleans())
        else Field(name=name, kind="number", nullable=draw(st.booleans()))
        for position, name in enumerate(draw(st.lists(names, min_size=1, max_size=3, unique=True)))
    ]
    return Contract(kind="json", fields=tuple(draw(st.permutations(fields))))


def value_of(field: Field) -> st.SearchStrategy[Value]:
    if field.kind == "choice":
        return st.sampled_from(field.choices)
    return numbers | st.none() if field.nullable else numbers


@st.composite
def contracts_with_values(draw: st.DrawFn) -> tuple[Contract, dict[str, Value]]:
    contract = draw(contracts())
    return contract, {field.name: draw(value_of(field)) for field in contract.fields}


@st.composite
def contracts_with_canonical(draw: st.DrawFn) -> tuple[Contract, str]:
    """A contract and an answer of its grammar, which may spell a number at greater length."""
    contract = draw(contracts())
    if contract.kind == "label":
        return contract, draw(st.sampled_from(contract.fields[0].choices))
    parts = []
    for field in contract.fields:
        if field.kind == "choice":
            spelt = json.dumps(draw(st.sampled_from(field.choices)), ensure_ascii=False)
        else:
            null = ("null",) if field.nullable else ()
            spelt = draw(st.sampled_from(NUMBER_SPELLINGS + null))
        parts.append(f'"{field.name}": {spelt}')
    return contract, "{" + ", ".join(parts) + "}"
