"""What fits where, in the command and in the matrix, which are one computation."""

import json
from pathlib import Path
from typing import Any

import pytest

from fathom_tui import cli
from fathom_tui.catalog import load
from fathom_tui.errors import UsageError
from fathom_tui.fit import PLANS, Subject, fit, matrix, usable_bytes
from fathom_tui.memory import KV_TYPES, OVERHEAD
from fathom_tui.training_memory import Backend, Method, TrainingPlan
from tests.runner.toy import write_model

KNOWN = load()
Q4 = KNOWN.quant("q4_k_m")
GIB = 2**30


def subject(name: str) -> Subject:
    return Subject.of(KNOWN.model(name), Q4)


class TestUsable:
    def test_a_card_loses_three_quarters_of_a_gib(self) -> None:
        assert usable_bytes(KNOWN.gpu("rtx-3090")) == 23.25 * GIB

    def test_each_of_two_cards_does(self) -> None:
        assert usable_bytes(KNOWN.gpu("rtx-4090-x2")) == 46.5 * GIB

    def test_unified_memory_is_shared_with_the_system(self) -> None:
        shared = [gpu for gpu in KNOWN.gpus if gpu.unified]

        assert shared
        for gpu in shared:
            share = usable_bytes(gpu) / (gpu.memory_gib * GIB)
            assert share == pytest.approx(0.75 if gpu.memory_gib >= 36 else 2 / 3, abs=1e-6)


class TestFit:
    def test_an_8b_model_answers_on_a_3090_and_not_on_a_2070_at_32k(self) -> None:
        gpus = (KNOWN.gpu("rtx-3090"), KNOWN.gpu("rtx-2070"))

        big, small = fit(subject("llama-3.1-8b"), gpus, context=32_768).devices

        assert (big.fits, small.fits) == (True, False)
        assert big.margin == big.usable - big.needed
        assert big.tokens_per_s is not None
        assert small.tokens_per_s is None

    def test_several_cards_pay_buffer_and_overhead_each(self) -> None:
        gpus = (KNOWN.gpu("rtx-4090"), KNOWN.gpu("rtx-4090-x2"))

        found = fit(subject("llama-3.1-8b"), gpus, context=8_192)
        one, two = found.devices

        assert two.needed - one.needed == found.inference.compute + OVERHEAD

    def test_70b_in_16_bits_does_not_fit_one_h100(self) -> None:
        model = Subject.of(KNOWN.model("llama-3.1-70b"), KNOWN.quant("f16"))

        (device,) = fit(model, (KNOWN.gpu("h100-80gb"),), context=8_192).devices

        assert not device.fits

    def test_whether_a_mac_trains_is_unknown(self) -> None:
        mac = next(gpu for gpu in KNOWN.gpus if gpu.vendor == "apple")

        (device,) = fit(subject("llama-3.1-8b"), (mac,), context=8_192, plan=TrainingPlan()).devices

        assert device.trains is None

    def test_unsloth_does_not_split_a_model_over_cards(self) -> None:
        plan = TrainingPlan(method=Method.QLORA, backend=Backend.UNSLOTH)
        gpus = (KNOWN.gpu("rtx-4090"), KNOWN.gpu("rtx-4090-x2"))

        for device in fit(subject("llama-3.1-70b"), gpus, context=512, plan=plan).devices:
            assert device.trains is False


class TestNotes:
    @staticmethod
    def notes(model: str, plan: TrainingPlan | None, *gpus: str) -> str:
        found = fit(subject(model), map(KNOWN.gpu, gpus), context=2_048, plan=plan)
        return " ".join(found.notes)

    def test_experts_that_stay_in_16_bits_are_told(self) -> None:
        notes = self.notes("mixtral-8x7b", TrainingPlan(method=Method.QLORA))

        assert "experts stay in 16 bit, 90.2 GB, and get no adapter" in notes

    def test_unsloths_experts_are_said_to_be_counted_the_same(self) -> None:
        plan = TrainingPlan(method=Method.LORA, backend=Backend.UNSLOTH)

        assert "Unsloth is counted the same" in self.notes("mixtral-8x7b", plan)

    @pytest.mark.parametrize(
        ("model", "plan"),
        [
            ("mixtral-8x7b", None),
            ("mixtral-8x7b", TrainingPlan(method=Method.FULL)),
            ("llama-3.1-8b", TrainingPlan(method=Method.QLORA)),
        ],
    )
    def test_nothing_is_said_of_experts_without_an_adapter_or_a_mixture(
        self, model: str, plan: TrainingPlan | None
    ) -> None:
        assert "experts" not in self.notes(model, plan)

    def test_a_training_that_only_all_cards_hold_is_said_to_be_sharded(self) -> None:
        plan = TrainingPlan(method=Method.LORA)
        gpus = ("rtx-4090", "rtx-4090-x2")

        assert "on rtx-4090-x2 training fits only sharded" in self.notes("phi-4", plan, *gpus)
        assert self.notes("llama-3.1-8b", plan, *gpus) == ""  # fits each card
        assert self.notes("llama-3.1-70b", plan, *gpus) == ""  # fits neither


class TestMatrix:
    def test_every_cell_is_what_fit_says(self) -> None:
        models, gpus = KNOWN.models[::6], KNOWN.gpus[::5]

        found = matrix(models, gpus, Q4, context=8_192)

        for model, row in zip(models, found.cells, strict=True):
            for index, plan in enumerate(PLANS):
                answer = fit(Subject.of(model, Q4), gpus, context=8_192, plan=plan)
                for cell, device in zip(row, answer.devices, strict=True):
                    assert cell is not None
                    assert cell.fits == device.fits
                    assert cell.margin == device.margin
                    assert cell.tokens_per_s == device.tokens_per_s
                    assert cell.trains[index] == device.trains

    def test_full_training_needs_more_than_an_adapter_on_every_device(self) -> None:
        for row in matrix(KNOWN.models, KNOWN.gpus, Q4, context=8_192).cells:
            for cell in row:
                assert cell is not None
                _, lora, full = cell.trains
                assert not (full and not lora)

    def test_a_cache_that_no_model_can_have_is_refused(self) -> None:
        with pytest.raises(UsageError, match="q9"):
            matrix(KNOWN.models[:3], KNOWN.gpus, Q4, context=8_192, kv_type="q9")

    def test_without_devices_there_are_no_cells(self) -> None:
        assert matrix(KNOWN.models[:2], (), Q4, context=8_192).cells == ((), ())


TERMS = {
    "inference": ("weights_bytes", "kv_cache_bytes", "compute_bytes", "overhead_bytes"),
    "training": (
        *("weights_bytes", "gradients_bytes", "optimizer_bytes", "activations_bytes"),
        "logits_bytes",
    ),
}


class TestCommand:
    def answer(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
        cli.main(["fit", *arguments, "--json"])
        return json.loads(capsys.readouterr().out)

    def test_json_has_the_documented_shape_and_terms_add_up(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = self.answer(capsys, "llama-3.1-8b", "--context", "32768", "--train", "qlora")

        assert list(found) == ["model", "inference", "training", "devices", "notes"]
        assert found["model"] == "llama-3.1-8b"
        for part, terms in TERMS.items():
            figures = found[part]
            total = figures.pop("total_bytes")["value"]
            count = figures.pop("trainable_parameters", None)
            assert tuple(figures) == terms
            assert sum(figure["value"] for figure in figures.values()) == total
            assert all(figure["source"] and figure["as_of"] for figure in figures.values())
            assert (count is not None) == (part == "training")
        assert found["inference"]["kv_cache_bytes"]["value"] == 4_294_967_296
        assert [device["id"] for device in found["devices"]] == [gpu.id for gpu in KNOWN.gpus]

    def test_devices_have_figures_where_the_model_fits(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = self.answer(capsys, "llama-3.1-70b")

        for device in found["devices"]:
            assert set(device) == {"id", "fits", "trains", "tokens_per_s"}
            assert (device["tokens_per_s"] is not None) == device["fits"]
            assert device["trains"] is None
        rates = [device["tokens_per_s"] for device in found["devices"] if device["fits"]]
        assert all(rate["low"]["value"] <= rate["high"]["value"] for rate in rates)
        assert all(rate["low"]["unit"] == "tokens/s" for rate in rates)

    def test_an_alias_is_the_model_it_names(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.answer(capsys, "qwen2.5:7b")["model"] == "qwen2.5-7b"
        assert self.answer(capsys, "Qwen/Qwen2.5-7B")["model"] == "qwen2.5-7b"

    @pytest.mark.parametrize(
        ("model", "rank", "targets", "count"),
        [
            ("llama-3.1-8b", "16", "attention", 13_631_488),
            ("qwen2.5-7b", "16", "attention", 10_092_544),
            ("tinyllama-1.1b", "8", "q,v", 1_126_400),
        ],
    )
    def test_adapters_have_the_parameters_of_the_sources(
        self,
        model: str,
        rank: str,
        targets: str,
        count: int,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        found = self.answer(capsys, model, "--train", "lora", "--rank", rank, "--targets", targets)

        assert found["training"]["trainable_parameters"]["value"] == count

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (("llama-3.1-8b", "--gpu", "rtx-3090"), 0),
            (("llama-3.1-70b", "--gpu", "rtx-3090"), 1),
            (("llama-3.1-70b",), 0),
            (("llama-3.1-8b", "--gpu", "rtx-3090", "--train", "full"), 1),
            (("llama-3.1-8b", "--gpu", "rtx-3090", "--train", "qlora"), 0),
        ],
    )
    def test_a_device_that_is_too_small_ends_with_1(
        self, arguments: tuple[str, ...], code: int
    ) -> None:
        assert cli.main(["fit", *arguments]) == code

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("qwen2.5-7c",), "qwen2.5-7b"),
            (("llama-3.1-8b", "--gpu", "rtx-309"), "rtx-3090"),
            (("llama-3.1-8b", "--quant", "q9_z"), "q9_z"),
            (("llama-3.1-8b", "--context", "0"), "--context"),
            (("llama-3.1-8b", "--context", "nan"), "--context"),
            (("llama-3.1-8b", "--context", "1e30"), "--context"),
            (("llama-3.1-8b", "--kv", "q9"), "q8_0"),
            (("llama-3.1-8b", "--rank", "8"), "--train"),
            (("llama-3.1-8b", "--train", "full", "--rank", "8"), "--rank"),
            (("llama-3.1-8b", "--train", "lora", "--targets", "x"), "x"),
            (("llama-3.1-8b", "--train", "lora", "--batch", "-1"), "--batch"),
            (("./no-such-model.gguf",), "no-such-model.gguf"),
            (("",), "No model was named"),
            ((" ",), "No model was named"),
            (("llama-3.1-8b", "--gpu", ""), "device ''"),
            (("llama-3.1-8b", "--quant", ""), "quantisation ''"),
            (("Qwen/No-Such-Model", "--quant", "q9_z"), "q9_z"),
            (("llama-3.1-8b", "--kv", ""), "''"),
            (("llama-3.1-8b", "--train", "lora", "--rank", ""), "--rank is ''"),
            (("llama-3.1-8b", "--train", "lora", "--seq", ""), "--seq is ''"),
            (("a" * 300,), "300 characters"),
            (("a/" + "b" * 5_000,), "5,002 characters"),
            (("~nobody-of-that-name/model",), "without ~"),
            (("a\0b",), "There is no model"),
            (("bge-m3",), "bge-m3 is an encoder"),
            (("nomic-embed-text:latest",), "is an encoder"),
            (("BAAI/bge-m3",), "embedding models are not sized here"),
            (("nomic-ai/nomic-embed-text-v1.5",), "embedding models are not sized here"),
        ],
    )
    def test_what_cannot_be_used_is_a_usage_error_that_names_it(
        self, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["fit", *arguments]) == 2

        assert says in capsys.readouterr().err

    def test_a_table_prints_terms_and_devices(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.main(["fit", "llama-3.1-8b", "--train", "lora"])

        out = capsys.readouterr().out
        assert "8,192 tokens of context" in out
        assert "13,631,488" in out
        assert "rtx-3090" in out
        assert out.count("total ") == 2

    def test_more_context_than_the_model_was_made_for_is_noted(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        cli.main(["fit", "phi-4", "--context", "64k", "--json"])

        assert "made for 16,384" in capsys.readouterr().err

    def test_a_directory_is_read_and_its_assumptions_told(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shape = {
            "model_type": "marvel",
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "vocab_size": 256,
        }
        model = write_model(tmp_path / "mine", **shape)

        cli.main(["fit", str(model), "--json"])

        streams = capsys.readouterr()
        found = json.loads(streams.out)
        assert found["model"] == "mine"
        assert "num_key_value_heads = 4" in streams.err
        assert "marvel is not known here" in streams.err
        assert [f"note: {note}" for note in found["notes"]] == streams.err.splitlines()

    def test_help_names_every_type_of_cache(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            cli.main(["fit", "--help"])

        out = " ".join(capsys.readouterr().out.split())
        assert ", ".join(KV_TYPES) in out
        assert '"notes": [text, ...]' in out

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b'{"model_type": "caf\xe9"}', "not UTF-8"),
            (b"\xff\xfe{\x00}\x00", "not UTF-8"),
            (b"[" * 100_000, "nested too deeply"),
            (b'{"a":' * 100_000, "nested too deeply"),
        ],
    )
    def test_a_config_that_cannot_be_read_is_a_usage_error(
        self, content: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "config.json"
        path.write_bytes(content)

        assert cli.main(["fit", str(path)]) == 2

        err = capsys.readouterr().err
        assert says in err and "fix:" in err

    def test_notes_are_in_json_and_on_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.main(["fit", "phi-4", "--context", "64k", "--train", "lora", "--seq", "32k", "--json"])

        streams = capsys.readouterr()
        notes = json.loads(streams.out)["notes"]
        assert any("made for 16,384 tokens of context, not 65,536" in note for note in notes)
        assert any("training on rows of 32,768" in note for note in notes)
        assert [f"note: {note}" for note in notes] == streams.err.splitlines()

    def test_a_model_without_anything_to_say_has_no_notes(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.answer(capsys, "llama-3.1-8b")["notes"] == []

    def test_one_device_means_one_row(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = self.answer(capsys, "llama-3.1-8b", "--gpu", "NVIDIA GeForce RTX 3090")

        assert [device["id"] for device in found["devices"]] == ["rtx-3090"]

    def test_a_model_published_in_a_quantisation_is_taken_in_it(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = self.answer(capsys, "gpt-oss-20b", "--gpu", "rtx-4080-super")

        assert found["inference"]["weights_bytes"]["value"] == pytest.approx(12.1e9, rel=0.001)
        assert found["devices"][0]["fits"] is True
        other = self.answer(capsys, "gpt-oss-20b", "--quant", "q4_k_m")
        assert "published in mxfp4" in other["notes"][0]

    def test_an_ollama_tag_names_model_and_quantisation(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        tagged = self.answer(capsys, "qwen2.5:7b-instruct-q8_0")
        named = self.answer(capsys, "qwen2.5-7b", "--quant", "q8_0")
        asked = self.answer(capsys, "qwen2.5:7b-instruct-q8_0", "--quant", "q4_k_m")

        assert tagged == named and tagged != asked

    def test_experts_quantisation_says_where_there_are_none(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = self.answer(capsys, "llama-3.1-8b", "--quant", "mxfp4")

        assert "has none: all of it is Q8_0" in found["notes"][0]

    def test_a_context_is_counted_in_1_024(self, capsys: pytest.CaptureFixture[str]) -> None:
        short = self.answer(capsys, "llama-3.1-8b", "--context", "32k")

        assert short == self.answer(capsys, "llama-3.1-8b", "--context", "32768")

    def test_the_table_says_rows_room_and_what_usable_means(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "200")
        pair = ("--gpu", "rtx-3090-x2", "--train", "qlora", "--seq", "4k")
        assert cli.main(["fit", "qwen2.5-7b", *pair]) == 0

        said = capsys.readouterr().out
        assert "trl, 1 x 4,096 tokens at once" in said
        assert said.count("Left GB") == 2 and "+40.0" in said
        assert "all but 0.75 GiB for driver and display" in said
        assert "of several cards (x2) all together" in said

    def test_a_wrong_config_is_named_by_its_path(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "neg.json"
        path.write_text('{"model_type": "llama", "hidden_size": -5, "num_hidden_layers": 2}')

        assert cli.main(["fit", str(path)]) == 2
        assert f"error: {path} " in capsys.readouterr().err
