"""The architecture that a Hugging Face `config.json` describes, and what had to be assumed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fathom_tui.architecture import Architecture, Mla, Moe
from fathom_tui.errors import UsageError

_KEYS: Mapping[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv"),
    "head_dim": ("head_dim", "kv_channels"),
    "intermediate": ("intermediate_size", "n_inner", "ffn_dim", "d_ff", "ffn_hidden_size"),
    "vocab": ("vocab_size", "padded_vocab_size"),
    "context": ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"),
}
"""The names that model families give to one and the same number, most usual first."""

_NESTED = ("text_config", "llm_config", "language_config")
_SLIDING = frozenset({"sliding_attention", "chunked_attention", "local_attention"})
_WHOLE = frozenset({"full_attention", "attention"})
"""Layers that keep every token. Source: the layer types of transformers 5.17, old ones too."""
_WITHOUT_CACHE = frozenset({"linear_attention", "mamba", "mamba2", "conv", "recurrent"})
_FIX_FILE = "Correct the file, or download it again."
_MOST, _MOST_LAYERS = 10**9, 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """What a family's modelling file says and its config.json does not."""

    tied: bool = False
    """Whether the output projection is the embedding unless the file says otherwise."""
    qkv_bias: bool = False
    qk_norm: bool = False
    norms: int = 2
    mlp_bias: bool = False
    attention_sinks: bool = False
    fused_qkv: bool = False
    cache_of_all: bool = False
    """Whether llama.cpp keeps every token although the file has a window."""
    sliding: Callable[[int], int] = lambda layers: layers
    """How many layers slide where the file has a window and no pattern."""
    omitted: Mapping[str, int] = field(default_factory=dict)
    """What published files leave out, because it is the default."""


def _every_second(layers: int) -> int:
    return (layers + 1) // 2


def _three_of_four(layers: int) -> int:
    return layers - layers // 4


_GEMMA3 = {
    "vocab_size": 262_208,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "max_position_embeddings": 131_072,
    "sliding_window": 4_096,
    "sliding_window_pattern": 6,
}
_COHERE2 = {"sliding_window": 4_096, "sliding_window_pattern": 4}

_FAMILIES: Mapping[str, _Family] = {
    "cohere": _Family(tied=True, norms=1),
    "cohere2": _Family(tied=True, norms=1, omitted=_COHERE2),
    "deepseek_v2": _Family(),
    "deepseek_v3": _Family(),
    "gemma": _Family(tied=True),
    "gemma2": _Family(
        tied=True,
        norms=4,
        sliding=_every_second,
        omitted={"head_dim": 256, "sliding_window": 4_096},
    ),
    "gemma3_text": _Family(tied=True, norms=4, qk_norm=True, omitted=_GEMMA3),
    "glm4_moe": _Family(),
    "gpt_oss": _Family(
        qkv_bias=True,
        mlp_bias=True,
        attention_sinks=True,
        sliding=_every_second,
        omitted={"sliding_window": 128},
    ),
    "granite": _Family(),
    "granitemoe": _Family(),
    "llama": _Family(),
    "llama4_text": _Family(sliding=_three_of_four, omitted={"attention_chunk_size": 8_192}),
    "ministral": _Family(),
    "mistral": _Family(cache_of_all=True),
    "mixtral": _Family(cache_of_all=True),
    "olmoe": _Family(),
    "phi3": _Family(fused_qkv=True, cache_of_all=True),
    "qwen2": _Family(qkv_bias=True, cache_of_all=True),
    "qwen2_moe": _Family(qkv_bias=True, cache_of_all=True),
    "qwen2_5_vl_text": _Family(qkv_bias=True, cache_of_all=True),
    "qwen3": _Family(qk_norm=True, cache_of_all=True, omitted={"head_dim": 128}),
    "qwen3_moe": _Family(qk_norm=True, cache_of_all=True),
    "qwen3_next": _Family(qk_norm=True),
    "qwen3_vl_text": _Family(qk_norm=True, cache_of_all=True),
    "smollm3": _Family(tied=True),
}
"""Source: the configuration and modelling files of transformers 5.17; which windows llama.cpp
uses, the model files of llama-cpp-python 0.3.36."""

_ENCODERS = frozenset(
    {"albert", "bart", "bert", "deberta", "distilbert", "electra", "modernbert", "mpnet"}
    | {"nomic_bert", "roberta", "t5", "xlm-roberta"}
)
_TWO_MATRICES = frozenset(
    {"bloom", "falcon", "gpt2", "gpt_neox", "mpt", "nemotron", "opt", "phi", "starcoder2"}
)
"""Families with an MLP of two matrices; their biases are not counted (below 0.1 %)."""


def from_config(config: Mapping[str, Any]) -> tuple[Architecture, list[str]]:
    """Read a Hugging Face `config.json`.

    Args:
        config: The file's content. Of a model that also sees, the text part is read.

    Returns:
        The architecture, and a note for everything that the file does not say and was assumed.

    Raises:
        UsageError: Keys are missing, of a wrong type, zero or negative, heads cannot
            be shared evenly, or the model is no decoder.
    """
    reading = _Config(config)
    return reading.architecture(), reading.notes


class _Config:
    """One `config.json` while it is read."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.notes: list[str] = []
        nested = next((key for key in _NESTED if isinstance(config.get(key), Mapping)), None)
        self.data: dict[str, Any] = dict(config[nested] if nested else config)
        kind = self.data.get("model_type") or config.get("model_type") or ""
        if not isinstance(kind, str):
            raise UsageError(
                f"config.json has model_type = {kind!r}, which is no text.", fix=_FIX_FILE
            )
        self.kind = kind
        self._note_packed(config.get("quantization_config") or self.data.get("quantization_config"))
        if nested:
            self.notes.append(f"only the text part ({nested}) is counted")
            self.data.setdefault("tie_word_embeddings", config.get("tie_word_embeddings"))
        if config.get("is_encoder_decoder") or kind in _ENCODERS:
            raise UsageError(
                f"config.json describes an encoder ({kind or 'is_encoder_decoder'}), which has no "
                "KV cache and does not write.",
                fix="Name a model that writes text.",
            )
        self.family = _FAMILIES.get(kind, _Family(tied=kind in ("gpt2", "starcoder2")))
        for key, value in self.family.omitted.items():
            if self.data.get(key) is None and not self._named(key):
                self.data[key] = value
                self.notes.append(f"{key} = {value}, the default of {kind}")

    def architecture(self) -> Architecture:
        """Return what the file describes; `notes` is complete then."""
        a = {name: self._first(*keys) for name, keys in _KEYS.items()}
        if self.kind == "llama4_text":  # its intermediate_size is that of an expert
            a["intermediate"] = self._first("intermediate_size_mlp") or a["intermediate"]
        if (a["layers"] or 0) > _MOST_LAYERS:
            raise UsageError(
                f"config.json has {a['layers']:,} layers; {_MOST_LAYERS:,} are the most that are "
                "counted.",
                fix=_FIX_FILE,
            )
        moe, mla = self._moe(a["layers"] or 0), self._mla()
        if moe and a["intermediate"] is None:
            a["intermediate"] = moe.intermediate
        needed = self._required(a)
        layers, heads = needed["layers"], needed["heads"]
        head_dim = self._head_dim(needed["hidden"], heads, a["head_dim"], mla)
        kv_heads = self._kv_heads(a["kv_heads"], heads, mla)
        window, sliding = self._sliding(layers)
        if self.kind not in _FAMILIES:
            self._note_unknown()
        return Architecture(
            **needed,
            kv_heads=kv_heads,
            head_dim=head_dim,
            tied_embeddings=self._tied(),
            context=a["context"] or self._assumed("max_position_embeddings", 8_192),
            gated_mlp=self.kind not in _TWO_MATRICES,
            qkv_bias=self._flag("attention_bias", "qkv_bias") or self.family.qkv_bias,
            output_bias=self._flag("attention_bias"),
            mlp_bias=self._flag("mlp_bias") or self.family.mlp_bias,
            norms=self.family.norms,
            qk_norm=self._flag("use_qk_norm") or self.family.qk_norm,
            attention_sinks=self.family.attention_sinks,
            fused_qkv=self.family.fused_qkv,
            sliding_window=window,
            sliding_layers=sliding,
            kv_heads_by_layer=self._by_layer(layers, kv_heads),
            mla=mla,
            moe=moe,
        )

    def _note_packed(self, stored: object) -> None:
        """Note weights that the file says are quantised, with gptq or awq for example."""
        if not stored:
            return
        method = stored.get("quant_method") if isinstance(stored, Mapping) else None
        how = f" with {method[:60]}" if isinstance(method, str) and method else ""
        self.notes.append(
            f"the file's weights are quantised{how} (quantization_config); sizes are of the GGUF "
            "quantisation that is asked for, not of that file"
        )

    def _note_unknown(self) -> None:
        self.notes.append(
            f"{self.kind or 'a model without model_type'} is not known here: counted as a Llama, "
            "with two norms a layer and biases only where the file says so"
        )

    def _named(self, key: str) -> bool:
        """Say whether the file has a number under another of its names."""
        names = next((known for known in _KEYS.values() if key in known), ())
        return any(self.data.get(name) is not None for name in names)

    def _first(self, *keys: str) -> int | None:
        """Return the first of several keys that is there, a whole number above zero."""
        for key in keys:
            value = self.data.get(key)
            if value is not None:
                return self._whole(key, value)
        return None

    def _whole(self, key: str, value: object, *, least: int = 1) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise UsageError(
                f"config.json has {key} = {str(value)[:60]!r}, which is no whole number.",
                fix=_FIX_FILE,
            )
        if not least <= value <= _MOST:
            raise UsageError(
                f"config.json has {key} = {value}, which is not from {least} to {_MOST:,}.",
                fix=_FIX_FILE,
            )
        return value

    def _flag(self, *keys: str) -> bool:
        for key in keys:
            value = self.data.get(key)
            if value is not None:
                if not isinstance(value, bool):
                    raise UsageError(
                        f"config.json has {key} = {str(value)[:60]!r}, which is neither true nor "
                        "false.",
                        fix=_FIX_FILE,
                    )
                return value
        return False

    def _assumed(self, key: str, value: int) -> int:
        self.notes.append(f"{key} = {value}, which the file leaves out")
        return value

    def _required(self, a: Mapping[str, int | None]) -> dict[str, int]:
        """Return the numbers that nothing can be assumed for.

        Raises:
            UsageError: Some are missing.
        """
        names = ("layers", "hidden", "intermediate", "heads", "vocab")
        found = {name: value for name in names if (value := a[name]) is not None}
        missing = [_KEYS[name][0] for name in names if name not in found]
        if missing:
            told = f" Assumed besides: {'; '.join(self.notes)}." if self.notes else ""
            raise UsageError(
                f"config.json of architecture {self.kind or 'unknown'!r} lacks "
                f"{', '.join(missing)}.{told}",
                fix="Add the keys to the file, or name the model's GGUF.",
            )
        return found

    def _head_dim(self, hidden: int, heads: int, given: int | None, mla: Mla | None) -> int:
        if mla:
            return mla.nope_head_dim + mla.rope_head_dim
        if given is None and hidden % heads:
            raise UsageError(
                f"config.json lacks head_dim, and {hidden} (hidden_size) is not divisible by "
                f"{heads} (num_attention_heads).",
                fix="Add head_dim to the file.",
            )
        return given or hidden // heads

    def _kv_heads(self, given: int | None, heads: int, mla: Mla | None) -> int:
        if given is None:
            return self._assumed("num_key_value_heads", heads)
        if mla is None and heads % given:
            raise UsageError(
                f"config.json has {heads} heads (num_attention_heads), which {given} heads of keys "
                "and values (num_key_value_heads) cannot share evenly.",
                fix=_FIX_FILE,
            )
        return given

    def _tied(self) -> bool:
        if self.data.get("tie_word_embeddings") is not None:
            return self._flag("tie_word_embeddings")
        return self.family.tied

    def _mla(self) -> Mla | None:
        rank = self._first("kv_lora_rank")
        if rank is None:
            return None
        found = {
            key: self._first(key) for key in ("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
        }
        missing = [key for key, value in found.items() if value is None]
        if missing:
            raise UsageError(
                f"config.json has kv_lora_rank, but lacks {', '.join(missing)}.", fix=_FIX_FILE
            )
        rope, nope, value = (number or 0 for number in found.values())
        return Mla(
            kv_lora_rank=rank,
            rope_head_dim=rope,
            nope_head_dim=nope,
            value_head_dim=value,
            q_lora_rank=self._first("q_lora_rank"),
        )

    def _moe(self, layers: int) -> Moe | None:
        experts = self._first(
            "num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts"
        )
        if experts is None or experts == 1:
            return None
        active = self._first("num_experts_per_tok", "experts_per_token", "moe_topk", "moe_k")
        width = self._first("moe_intermediate_size", "expert_intermediate_size")
        llama4 = self.kind == "llama4_text"
        if width is None:
            width = self._first("intermediate_size")
        if active is None or width is None:
            lacks = "num_experts_per_tok" if active is None else "moe_intermediate_size"
            raise UsageError(
                f"config.json has {experts} experts, but lacks {lacks}.", fix=_FIX_FILE
            )
        if active > experts:
            raise UsageError(
                f"config.json sends a token to {active} of {experts} experts.", fix=_FIX_FILE
            )
        shared = self._first("shared_expert_intermediate_size", "shared_intermediate_size")
        if shared is None:
            shared = width * (1 if llama4 else self._first("n_shared_experts") or 0)
        dense = self._dense_layers(layers)
        return Moe(
            experts=experts,
            active=active,
            intermediate=width,
            shared_intermediate=shared,
            dense_layers=dense,
        )

    def _dense_layers(self, layers: int) -> int:
        """Return how many layers have no experts; where they lie changes no number here."""
        if isinstance(self.data.get("moe_layers"), list):
            return layers - len(self.data["moe_layers"])
        first = self.data.get("first_k_dense_replace") or 0
        only = self.data.get("mlp_only_layers") or []
        step = self._first("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq")
        dense = self._whole("first_k_dense_replace", first, least=0)
        dense += len(only) if isinstance(only, list) else 0
        return min(layers, dense + (layers - dense) - (layers - dense) // (step or 1))

    def _sliding(self, layers: int) -> tuple[int | None, int]:
        window = self._first("sliding_window", "attention_chunk_size")
        kinds = self._kinds(layers)
        if kinds is not None:
            count = sum(kind in _SLIDING for kind in kinds)
        elif window is None or self.data.get("use_sliding_window") is False:
            count = 0
        else:
            count = self._sliding_count(layers)
        if not count or window is None:
            return None, 0
        if self.family.cache_of_all:
            self.notes.append(
                f"llama.cpp keeps every token of {self.kind}, not only the window of {window:,}"
            )
            return None, 0
        return window, count

    def _sliding_count(self, layers: int) -> int:
        pattern = self._first("sliding_window_pattern", "_sliding_window_pattern")
        if pattern is None:
            return self.family.sliding(layers)
        return layers - layers // pattern

    def _kinds(self, layers: int) -> list[str] | None:
        kinds = self.data.get("layer_types")
        if kinds is None:
            interval = self._first("full_attention_interval")
            if interval is None:
                return None
            kinds = ["linear_attention" if (i + 1) % interval else "" for i in range(layers)]
        if not isinstance(kinds, list) or len(kinds) != layers:
            raise UsageError(
                f"config.json has layer_types that are no list of {layers} (num_hidden_layers).",
                fix=_FIX_FILE,
            )
        return [str(kind) for kind in kinds]

    def _note_kinds(self, kinds: Sequence[str]) -> None:
        for kind in dict.fromkeys(kinds):
            if kind and kind not in _WHOLE | _SLIDING | _WITHOUT_CACHE:
                self.notes.append(
                    f"layer_types has {kinds.count(kind)} of {len(kinds)} layers of "
                    f"{kind[:60]!r}, which is not known here: counted as attention that keeps "
                    "every token"
                )

    def _by_layer(self, layers: int, kv_heads: int) -> tuple[int, ...]:
        kinds = self._kinds(layers)
        self._note_kinds(kinds or ())
        without = sum(kind in _WITHOUT_CACHE for kind in kinds or ())
        if not kinds or not without:
            return ()
        self.notes.append(
            f"{without} of {layers} layers keep a small state instead of a KV cache; their weights "
            "are counted as those of attention"
        )
        return tuple(0 if kind in _WITHOUT_CACHE else kv_heads for kind in kinds)
