"""The five steps of the environment check, tried for real in a child process.

GPU visible, model loads (in 4 bits where a GPU and bitsandbytes are there), inference answers,
LoRA attaches, one training step has a finite loss and gradients. A model file can end the whole
process that loads it, so the child tries and the parent reports.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from fathom_tui.doctor import STEPS, Diagnosis, State
from fathom_tui.errors import FathomError
from fathom_tui.runner.base_model import locate, prepare

TIMEOUT_S = 300
"""Loading and one step of a 135M model take 30 s on two cores; a 7B on a slow disk takes longer."""
AGAIN = "See that the packages are as tested, and whether the embedded model fails as well."
PROMPT = "The capital of France is"
ROW = "Ticket: my card was declined twice today. Answer: card_payment"


def attempt(model: str, cache: Path) -> list[Diagnosis]:
    """Try the five steps in a child process and return one diagnosis for each.

    Args:
        model: `embedded` or a local Hugging Face directory.
        cache: Fathom's cache, where the embedded model is kept once it has been unpacked.

    Raises:
        UsageError: The directory is not there or holds no whole model.
    """
    locate(model)
    with tempfile.TemporaryDirectory(prefix="fathom-doctor-") as scratch:
        answers, end = _spawn(model, cache, Path(scratch))
    tried = [
        Diagnosis(check=a["check"], state=State(a["state"]), detail=a["detail"], fix=a["fix"])
        for a in answers
    ]
    return [*tried, *_not_reached(tried, end)]


def _spawn(model: str, cache: Path, scratch: Path) -> tuple[list[dict[str, str]], str]:
    """Run the child; return what it reported and how it ended."""
    answers, complaints = scratch / "answers.jsonl", scratch / "stderr.txt"
    # -P: the caller's directory may hold a json.py of its own.
    command = [sys.executable, "-P", "-m", __name__, str(answers), model, str(cache)]
    with complaints.open("wb") as stderr:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env=_environment(),
                timeout=TIMEOUT_S,
                check=False,
            ).returncode
            end = _describe(code, complaints)
        except subprocess.TimeoutExpired:
            end = f"it took longer than {TIMEOUT_S} s and was ended"
    lines = answers.read_text("utf-8").splitlines() if answers.is_file() else []
    return [json.loads(line) for line in lines], end


def _environment() -> dict[str, str]:
    # Nothing is fetched, and no thread pool is forked.
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def _describe(code: int, complaints: Path) -> str:
    if code < 0:
        return f"the process that tried it was ended by {signal.Signals(-code).name}"
    said = complaints.read_text("utf-8", errors="replace").strip().splitlines()
    return f"the process that tried it ended with code {code}: {said[-1] if said else 'no message'}"


def _not_reached(tried: list[Diagnosis], end: str) -> Iterator[Diagnosis]:
    """Return a diagnosis for each step without one: the first may have ended the process."""
    rest = STEPS[len(tried) :]
    failed = tried[-1].check if len(tried) > 1 and tried[-1].state is State.MISSING else ""
    for check in rest:
        detail = f"not reached: {failed} failed" if failed else end
        fix = f"See {failed}." if failed else AGAIN
        yield Diagnosis(check=check, state=State.MISSING, detail=detail, fix=fix)
        failed = failed or check


@dataclass(slots=True)
class _Bench:
    """What the steps in the child hand on."""

    name: str
    cache: Path
    device: str = "cpu"
    model: Any = None
    tokenizer: Any = None


def _gpu_visible(bench: _Bench) -> str:
    import torch

    if not torch.cuda.is_available():
        build = "a CPU-only build" if torch.version.cuda is None else f"CUDA {torch.version.cuda}"
        raise _Lacking(
            f"torch {torch.__version__} ({build}) sees no GPU",
            fix="Not needed for small models. With a GPU: the rows gpu and torch say what to do.",
        )
    bench.device = "cuda"
    return f"torch {torch.__version__} sees {torch.cuda.get_device_name(0)}"


def _model_loads(bench: _Bench) -> str:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    four_bit = bench.device == "cuda" and _has_bitsandbytes()
    dtype = torch.bfloat16 if _multiplies_bf16(bench.device) else torch.float32
    directory = locate(bench.name) or prepare(bench.name, bench.cache).directory
    bench.tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    bench.model = AutoModelForCausalLM.from_pretrained(
        directory,
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        quantization_config=_four_bit(dtype) if four_bit else None,
    )
    if not four_bit:
        bench.model.to(bench.device)
    millions = sum(p.numel() for p in bench.model.parameters()) / 1e6
    how = "4-bit" if four_bit else str(dtype).removeprefix("torch.")
    return f"{millions:.0f}M parameters, {how} on {bench.device}"


def _has_bitsandbytes() -> bool:
    from importlib.util import find_spec

    return find_spec("bitsandbytes") is not None


def _four_bit(dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )


def _multiplies_bf16(device: str) -> bool:
    if device == "cuda":
        import torch

        return bool(torch.cuda.is_bf16_supported())
    from fathom_tui.sources.host import cpu

    return cpu().bf16 is True


def _inference_answers(bench: _Bench) -> str:
    inputs = bench.tokenizer(PROMPT, return_tensors="pt").to(bench.device)
    output = bench.model.generate(**inputs, max_new_tokens=8, do_sample=False)
    new = output[0, inputs["input_ids"].shape[1] :]
    text = bench.tokenizer.decode(new, skip_special_tokens=True).strip()
    if not text:
        raise _Lacking(f"the model said nothing after {PROMPT!r}", fix="Try another model.")
    return f"{PROMPT!r} goes on {text!r}"


def _lora_attaches(bench: _Bench) -> str:
    from peft import LoraConfig, get_peft_model

    recipe = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    bench.model = get_peft_model(bench.model, recipe)
    trainable, _ = bench.model.get_nb_trainable_parameters()
    return f"{trainable / 1e6:.2f}M trainable parameters at rank 8"


def _training_step(bench: _Bench) -> str:
    import torch

    weights = [p for p in bench.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4)
    inputs = bench.tokenizer(ROW, return_tensors="pt").to(bench.device)
    bench.model.train()
    loss = bench.model(**inputs, labels=inputs["input_ids"]).loss
    loss.backward()
    norm = float(torch.nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None]))
    optimizer.step()
    if not (torch.isfinite(loss) and 0 < norm < float("inf")):
        raise _Lacking(
            f"loss {loss.item():.3g}, gradient norm {norm:.3g}: not finite, or all zero",
            fix="Train in bfloat16 or float32; on a GPU, see whether driver and torch fit.",
        )
    return f"loss {loss.item():.2f} and gradient norm {norm:.2f} are finite"


class _Lacking(FathomError):
    """A step that was tried and failed for a known cause."""


_STEPS: tuple[tuple[str, Callable[[_Bench], str]], ...] = tuple(
    zip(
        STEPS,
        (_gpu_visible, _model_loads, _inference_answers, _lora_attaches, _training_step),
        strict=True,
    )
)


def try_steps(model: str, cache: Path) -> Iterator[Diagnosis]:
    """Try the steps in this process; ends after the first that later ones cannot do without."""
    bench = _Bench(name=model, cache=cache)
    for check, step in _STEPS:
        try:
            yield Diagnosis(check=check, state=State.OK, detail=step(bench))
        except Exception as error:  # a diagnosis is the whole point; nothing is lost
            yield _diagnosis_of(check, error)
            if check != STEPS[0]:
                return


def _diagnosis_of(check: str, error: Exception) -> Diagnosis:
    if isinstance(error, FathomError):
        return Diagnosis(check=check, state=State.MISSING, detail=error.message, fix=error.fix)
    said = str(error).strip().splitlines()
    detail = f"{type(error).__name__}: {said[0] if said else 'no message'}"
    return Diagnosis(check=check, state=State.MISSING, detail=detail, fix=_fix(error))


_FIXES = (
    ("OutOfMemoryError", "Free memory on the device, or name a smaller model with --model."),
    ("MemoryError", "Free some memory, or name a smaller model with --model."),
    ("ModuleNotFoundError", "pip install 'fathom-tui[train]'"),
    ("bitsandbytes", "pip install 'bitsandbytes==0.50.2', which has to fit the CUDA of torch."),
    ("CUDA", "The driver and torch's CUDA may not fit: see the rows gpu and torch."),
    ("No space left", "Free some disk space."),
)


def _fix(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return next((fix for sign, fix in _FIXES if sign in text), AGAIN)


def _write(diagnosis: Diagnosis, stream: TextIO) -> None:
    stream.write(json.dumps(diagnosis.to_json()) + "\n")
    stream.flush()  # the next step may end the process


def main(answers: str, model: str, cache: str) -> None:
    """Be the child: try the steps and write a line for each."""
    with open(answers, "w", encoding="utf-8") as stream:
        for diagnosis in try_steps(model, Path(cache)):
            _write(diagnosis, stream)


if __name__ == "__main__":
    main(*sys.argv[1:4])
