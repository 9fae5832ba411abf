"""A task of two classes, and a model of a few bytes that gets as far as it is looked at."""

import csv
import fcntl
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fathom_tui.engagement import configure
from fathom_tui.runner.base_model import _FORMAT, _key
from fathom_tui.store import Home, Store

CARD = (
    "card PIN contactless plastic chip cashier terminal declined swipe envelope wallet expiry "
    "blocked reader tap limit shop purchase"
)
TRANSFER = (
    "transfer payee sort-code reference salary standing-order recipient bank wire deposit IBAN "
    "beneficiary pending arrears landlord rent remittance invoice"
)
NEUTRAL = (
    "yesterday please morning again support help waiting hours today evening email app phone "
    "message nobody answered week since Monday Friday twice still"
)


def write_toy(path: Path, rows: int) -> Path:
    """Write messages whose words give their class away, both classes in turn; always the same."""
    rng = random.Random(7)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for number in range(rows):
            label, own = (("card", CARD), ("transfer", TRANSFER))[number % 2]
            words = rng.sample(own.split(), 9) + rng.sample(NEUTRAL.split(), 9)
            rng.shuffle(words)
            writer.writerow((" ".join(words), label))
    return path


def engage(home: Home, dataset: Path, *, slug: str = "toy", **settings: Any) -> str:
    """Create an engagement of the toy task and return its slug."""
    config = configure(
        {
            "dataset": str(dataset),
            "input": "text",
            "output": "label",
            "instruction": "Say whether the message is about a card or a transfer.",
            **settings,
        }
    )
    return Store(home).create_engagement(slug.title(), config, slug=slug)


def write_model(folder: Path, **config: Any) -> Path:
    """Write a directory that looks like a Hugging Face model, with one tensor of 32 bytes."""
    folder.mkdir(parents=True)
    settings = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 512, **config}
    (folder / "config.json").write_text(json.dumps(settings), "utf-8")
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    tokenizer = {"chat_template": template, "eos_token": "</s>", "bos_token": "<s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), "utf-8")
    write_weights(folder / "model.safetensors", [4, 4])
    return folder


def write_weights(path: Path, shape: list[int]) -> None:
    """Write a safetensors file; only its header says how large the tensor is."""
    tensor = {"dtype": "F16", "shape": shape, "data_offsets": [0, 32]}
    header = json.dumps({"weight": tensor}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(32))


def put_in_cache(home: Home, model: Path, gguf: bytes) -> Path:
    """Put a file into the cache as the model's converted GGUF and return its path."""
    place = home.cache / "models" / f"{model.name}-{_key(model)}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "base.f16.gguf").write_bytes(gguf)
    (place / "complete.json").write_text(json.dumps({"format": _FORMAT}), "utf-8")
    return place / "base.f16.gguf"


@contextmanager
def blocked(home: Home, model: Path) -> Iterator[None]:
    """Keep `preflight` waiting, without work, as another run does while it converts the model."""
    lock = home.cache / "models" / f"{_key(model)}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
