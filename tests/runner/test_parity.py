"""What transformers says of the embedded model, held against both GGUFs and against servers."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fathom_tui.datasets.cases import Case
from fathom_tui.gates import Outcome
from fathom_tui.parity import NEAR_TIE, Cause, ParityReference, Said
from fathom_tui.runner import verify
from fathom_tui.runner.base_model import BaseModel
from fathom_tui.runner.chat import Prompt, Template
from fathom_tui.runner.llama import Engine
from fathom_tui.runner.parity import (
    Agreement,
    agreement,
    end_mismatch,
    forms_agree,
    prompt_mismatch,
    served_parity,
    with_own_answers,
)
from fathom_tui.runner.reference import read_reference, write_reference
from fathom_tui.serving import Answer
from tests.runner.test_quantize import Gates

pytestmark = pytest.mark.slow

SYSTEM = "Answer in one short sentence."
PROMPT = Prompt(name="tuned", system=SYSTEM)
CASES = [
    Case(id="c1", input="What is the capital of France?", values={}, output="Paris."),
    Case(id="c2", input="Name a colour of the sky — très bleu?", values={}, output="Blue."),
]
LIMIT = 12
SCRIPT = """
import json, sys, torch
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer
from fathom_tui.datasets.cases import Case
from fathom_tui.runner.chat import Prompt
from fathom_tui.runner.reference import answered, greedy, reference, write_reference

torch.set_num_threads(1)
folder, out = sys.argv[1], Path(sys.argv[2])
cases = [Case.from_json(case) for case in json.loads(sys.argv[3])]
prompt, limit = Prompt(name="tuned", system=sys.argv[4]), int(sys.argv[5])
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
found = reference(tokenizer, [0], prompt, cases)
found = answered(found, model, tokenizer, form="adapter", limit=limit)
found = answered(found, model, tokenizer, form="merged", limit=limit)
write_reference(out, found)
case = found.cases[0]
right = list(case.merged.tokens)
for draft in ([], right, right[:2] + [5, 5], [5]):
    again = greedy(model, case.tokens, draft, ends=found.ends, limit=limit)
    assert again == right, (draft, again, right)
assert greedy(model, case.tokens, right, ends=found.ends, limit=2) == right[:2]
"""


@pytest.fixture(scope="module")
def found(base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> ParityReference:
    """Return what transformers makes of two prompts; drafts change nothing, the script checks."""
    path = tmp_path_factory.mktemp("parity") / "parity.json"
    cases = json.dumps([case.to_json() for case in CASES])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(base.directory), str(path), cases, SYSTEM, str(LIMIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return read_reference(path)


class TestTheReference:
    def test_says_what_was_rendered_tokenised_and_answered(self, found: ParityReference) -> None:
        case = found.cases[0]

        assert case.rendered.endswith("<|im_start|>assistant\n")
        assert SYSTEM in case.rendered
        assert case.whole == case.rendered + "Paris.<|im_end|>"
        assert case.whole_tokens[: len(case.tokens)] == case.tokens
        assert case.merged is not None and 0 < len(case.merged.tokens) <= LIMIT
        assert case.merged == case.adapter
        assert found.eos == 2 and 0 in found.ends
        assert forms_agree(found) == 1.0

    def test_survives_its_file(self, found: ParityReference, tmp_path: Path) -> None:
        write_reference(tmp_path / "again.json", found)

        assert read_reference(tmp_path / "again.json") == found


class TestPromptsInTheGguf:
    def test_are_those_of_transformers(
        self, base: BaseModel, engine: Engine, found: ParityReference
    ) -> None:
        template = Template(base.directory)

        assert prompt_mismatch(found, template, PROMPT, engine.tokenize) is None
        assert end_mismatch(found, engine.is_end) is None

    def test_with_another_template_are_named(
        self, base: BaseModel, engine: Engine, found: ParityReference, tmp_path: Path
    ) -> None:
        slips = {
            "Conversation: ": Cause.TEMPLATE,
            "{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}": Cause.SYSTEM_INSERTED,
            "{{ bos_token }}": Cause.BOS_TWICE,  # this model's prompts begin with it
        }
        for put, cause in slips.items():
            template = Template(_with_template(base.directory, tmp_path / cause.value, before=put))
            mismatch = prompt_mismatch(found, template, PROMPT, engine.tokenize)
            assert mismatch is not None and mismatch.cause is cause

    def test_without_the_special_tokens_have_lost_their_end(
        self, base: BaseModel, engine: Engine, found: ParityReference
    ) -> None:
        mismatch = prompt_mismatch(
            found, Template(base.directory), PROMPT, lambda t: engine.tokenize(t, special=False)
        )

        assert mismatch is not None and mismatch.cause is Cause.EOS_MISSING

    def test_an_end_that_is_none_in_llama_cpp_is_named(self, found: ParityReference) -> None:
        mismatch = end_mismatch(found, lambda token: False)
        without = end_mismatch(replace(found, ends=()), lambda token: True)

        assert mismatch is not None and mismatch.cause is Cause.EOS_MISSING
        assert "token 2 ends answers in training" in mismatch.detail
        assert without is not None and without.cause is Cause.EOS_MISSING


def _with_template(directory: Path, target: Path, *, before: str) -> Path:
    """Copy a model's tokenizer with a text before its chat template."""
    target.mkdir()
    config = json.loads((directory / "tokenizer_config.json").read_text("utf-8"))
    beside = directory / "chat_template.jinja"
    source = beside.read_text("utf-8") if beside.is_file() else config["chat_template"]
    config["chat_template"] = before + source
    (target / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    return target


class TestAnswersOfTheGguf:
    def test_in_f16_are_those_of_transformers(self, engine: Engine, found: ParityReference) -> None:
        result = agreement(engine, found)

        assert (result.compared, result.agreed, result.mismatches) == (2, 2, ())
        assert result.share == 1.0

    def test_are_found_alone_as_well(self, engine: Engine, found: ParityReference) -> None:
        case = found.cases[0]
        assert case.merged is not None

        tokens = engine.greedy(case.tokens, max_tokens=LIMIT)

        leads = engine.leads(case.tokens, tokens)
        assert (leads >= -0.02).all()  # a batch adds up in another order
        assert engine.leads(case.tokens, case.merged.tokens).min() >= -NEAR_TIE

    def test_that_differ_are_named_with_both(self, engine: Engine, found: ParityReference) -> None:
        wrong = _say(found, engine, "I would not dream of telling.")

        result = agreement(engine, wrong)

        assert result.agreed == 0
        assert result.mismatches[0].cause is Cause.ANSWER
        assert "merged weights answer 'I would not dream" in result.mismatches[0].detail

    def test_of_nothing_have_no_share(self, engine: Engine, found: ParityReference) -> None:
        assert agreement(engine, replace(found, cases=())).share is None

    def test_of_the_quantised_file_are_written_down_for_its_server(
        self, q4: Path, found: ParityReference
    ) -> None:
        with Engine(q4, n_ctx=512, threads=1) as engine:
            own = with_own_answers(engine, found, limit=LIMIT)
            for case in own.cases:
                assert case.quantised is not None
                assert case.lead is not None and case.lead >= -0.6


def _say(found: ParityReference, engine: Engine, text: str) -> ParityReference:
    said = Said(tokens=tuple(engine.tokenize(text + "<|im_end|>")), text=text, ended=True)
    return replace(found, cases=tuple(replace(case, merged=said) for case in found.cases))


class TestTheGates:
    def test_let_equal_answers_pass(self) -> None:
        report = Gates()
        good = Agreement(compared=8, agreed=8, mismatches=())

        verify._judge_answers(report, good, good)

        assert [gate.outcome for gate in report.gates] == [Outcome.PASS]
        assert "8 of 8 greedy answers" in report.gates[0].reason

    def test_refuse_an_f16_file_that_answers_otherwise_and_name_why(
        self, engine: Engine, found: ParityReference
    ) -> None:
        report = Gates()
        bad = agreement(engine, _say(found, engine, "No."))

        verify._judge_answers(report, bad, bad)

        gate = report.named("verify.answer_parity")
        assert gate.outcome is Outcome.REFUSE
        assert "at least 85% are wanted" in gate.reason and "answer (case c1)" in gate.reason
        assert report.named("verify.quantised_answers").outcome is Outcome.WARN

    def test_let_one_of_eight_be_a_tie(self) -> None:
        report = Gates()
        one_off = Agreement(compared=8, agreed=7, mismatches=())

        verify._judge_answers(report, one_off, one_off)

        assert report.gates[0].outcome is Outcome.PASS


class Served:
    """A serving target that says what it is told to: how a server may be wrong."""

    def __init__(self, found: ParityReference, **said: Any) -> None:
        self._by_input = {case.input: case for case in found.cases}
        self._said = said

    def ask(
        self, messages: Sequence[Mapping[str, str]], *, max_tokens: int, version: str | None = None
    ) -> Answer:
        case = self._by_input[messages[-1]["content"]]
        assert case.quantised is not None
        given: dict[str, Any] = {
            "text": case.quantised.text,
            "finish_reason": "stop" if case.quantised.ended else "length",
            "prompt_tokens": len(case.tokens) + self._said.get("extra", 0),
            "output_tokens": None,
            "seconds": 0.1,
        }
        return Answer(**{**given, **self._said.get("answer", {})})

    def render(self, messages: Sequence[Mapping[str, str]], *, version: str) -> str | None:
        if "render" not in self._said:
            return None
        change: Any = self._said["render"]
        return str(change(self._by_input[messages[-1]["content"]].rendered))


class TestTheServedModel:
    @pytest.fixture(scope="class")
    def own(self, found: ParityReference) -> ParityReference:
        said = Said(tokens=(1, 2), text="Paris.", ended=True)
        return replace(found, cases=tuple(replace(case, quantised=said) for case in found.cases))

    def causes(self, own: ParityReference, **said: Any) -> set[Cause]:
        result = served_parity(Served(own, **said), "v1", own, PROMPT.messages, max_tokens=LIMIT)
        return {mismatch.cause for mismatch in result.mismatches}

    def test_that_says_what_the_file_says_passes(self, own: ParityReference) -> None:
        result = served_parity(
            Served(own, render=lambda text: text), "v1", own, PROMPT.messages, max_tokens=LIMIT
        )

        assert result.rendered is True
        assert (result.answers.compared, result.answers.agreed) == (2, 2)
        assert json.loads(json.dumps(result.to_json()))["mismatches"] == []

    def test_that_cannot_show_its_prompt_leaves_it_unknown(self, own: ParityReference) -> None:
        result = served_parity(Served(own), "v1", own, PROMPT.messages, max_tokens=LIMIT)

        assert result.rendered is None
        assert result.mismatches == ()

    def test_with_a_wrong_prompt_is_named(self, own: ParityReference) -> None:
        def other_system(text: str) -> str:
            return text.replace(SYSTEM, "You are a helpful assistant.")

        def no_header(text: str) -> str:
            return text.removesuffix("<|im_start|>assistant\n")

        assert self.causes(own, render=other_system) == {Cause.SYSTEM_INSERTED}
        assert self.causes(own, render=no_header) == {Cause.TEMPLATE}

    def test_that_counts_one_token_too_many_has_put_in_a_bos(self, own: ParityReference) -> None:
        assert self.causes(own, extra=1) == {Cause.BOS_TWICE}  # prompts here begin with one

    def test_that_does_not_stop_has_lost_its_end(self, own: ParityReference) -> None:
        on = {"text": "Paris. Paris. Paris.", "finish_reason": "length"}

        assert self.causes(own, answer=on) == {Cause.EOS_MISSING}

    def test_that_answers_otherwise_is_named(self, own: ParityReference) -> None:
        assert self.causes(own, answer={"text": "London."}) == {Cause.ANSWER}

    @pytest.mark.parametrize(("lead", "ties"), [(0.1, 2), (3.0, 0)])
    def test_that_answers_otherwise_from_a_near_tie_on_does_no_wrong(
        self, own: ParityReference, lead: float, ties: int
    ) -> None:
        near = replace(own, cases=tuple(replace(case, lead=lead) for case in own.cases))
        server = Served(near, answer={"text": "London."})

        result = served_parity(server, "v1", near, PROMPT.messages, max_tokens=LIMIT)

        assert (result.ties, result.answers.agreed) == (ties, ties)
        assert (result.mismatches == ()) == bool(ties)

    def test_a_near_tie_excuses_no_wrong_prompt(self, own: ParityReference) -> None:
        near = replace(own, cases=tuple(replace(case, lead=0.1) for case in own.cases))

        causes = self.causes(near, extra=1, answer={"text": "London."})

        assert causes == {Cause.BOS_TWICE, Cause.ANSWER}


def test_the_copied_template_is_the_models_own(base: BaseModel, tmp_path: Path) -> None:
    copied = Template(_with_template(base.directory, tmp_path / "same", before=""))

    messages = PROMPT.messages("Hello?")
    assert copied.render(messages) == Template(base.directory).render(messages)
    shutil.rmtree(tmp_path / "same")
