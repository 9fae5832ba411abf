"""The stage `train`: LoRA fine-tuning on the answer's tokens alone, best checkpoint by validation.

Imports only the training stack, inside functions; reads its work order, reports through its pipe.
A killed training goes on from its last good checkpoint and ends with the same adapter, bit for
bit: the seed is set before the adapter exists, the trainer restores optimizer, schedule, random
state and callbacks, and a checkpoint counts only once its manifest is written.
"""

import json
import math
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fathom_tui.datasets.cases import Case, read_split
from fathom_tui.errors import EnvironmentProblem
from fathom_tui.gates import passed, refused, warned
from fathom_tui.recipe import Plan
from fathom_tui.runner.chat import Prompt, Template, training_row
from fathom_tui.runner.stage import Job, Report
from fathom_tui.store.artifacts import content

MANIFEST = "manifest.json"
_ALIKE = 16
"""Batches whose rows are sorted by length together: little padding, still a random order."""
_HEAD_CHUNK = 256
"""TRL's own chunk, in tokens, which bounds the memory of the logits."""
_EVALUATED_TOGETHER = 8
"""Rows of a batch when the validation loss is taken: without gradients memory is no concern."""


def run(job: Job, report: Report) -> dict[str, Any]:
    """Train the adapter; return its path, steps, losses and the tokens that were trained."""
    _quiet_environment()
    plan = job.plan
    preflight = job.results["preflight"]
    model_dir = Path(preflight["model_dir"])
    template = Template(model_dir)
    prompt = Prompt(name="tuned", system=plan.tuned_instruction)
    data_dir = job.run_dir / "data"
    tokenizer = _load_tokenizer(model_dir)
    train = _tokenized(read_split(data_dir / "train.jsonl"), template, prompt, tokenizer, plan)
    loss_cases = read_split(data_dir / "validation.jsonl")[: plan.loss_rows]
    validation = _tokenized(loss_cases, template, prompt, tokenizer, plan)
    _check_tokens(report, train, tokenizer, template, job)
    trainer = _trainer(job, report, model_dir, tokenizer, train, validation)
    checkpoint = last_good_checkpoint(job.dir / "checkpoints")
    if checkpoint is not None:
        report.note(f"going on from {checkpoint.name}")
    outcome = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return _finish(job, report, trainer, outcome, train)


def _quiet_environment() -> None:
    # No hub, no telemetry, no remote code: what is not on disk is not there.
    os.environ.update(
        HF_HUB_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        TOKENIZERS_PARALLELISM="false",
        TRL_EXPERIMENTAL_SILENCE="1",
    )


def _load_tokenizer(model_dir: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_dir, local_files_only=True)


def _tokenized(
    cases: Sequence[Case], template: Template, prompt: Prompt, tokenizer: Any, plan: Plan
) -> dict[str, Any]:
    """Return rows of token ids and labels (-100 where no loss is taken), and what was left out."""
    rows, long = [], 0
    for case in cases:
        asked, answered = training_row(template, prompt, case)
        before = tokenizer(asked, add_special_tokens=False)["input_ids"]
        after = tokenizer(answered, add_special_tokens=False)["input_ids"]
        if len(before) + len(after) > plan.max_length:
            long += 1
            continue
        rows.append({"input_ids": before + after, "labels": [-100] * len(before) + after})
    return {"rows": rows, "long": long}


def _check_tokens(
    report: Report, train: dict[str, Any], tokenizer: Any, template: Template, job: Job
) -> None:
    rows, long = train["rows"], train["long"]
    eos = tokenizer.eos_token_id
    trained = sum(sum(label != -100 for label in row["labels"]) for row in rows)
    stopped = sum(row["labels"][-1] == eos for row in rows)
    if not rows or not trained:
        report.gate(
            refused(
                "train.tokens",
                f"{len(rows)} rows are left and {trained} tokens would be trained "
                f"({long} rows are longer than {job.plan.max_length} tokens).",
                "Raise max_length or shorten the inputs.",
                waivable=False,
            )
        )
        raise EnvironmentProblem("There is nothing to train on.", fix="See gate train.tokens.")
    if stopped != len(rows) or tokenizer.convert_tokens_to_ids(template.eos) != eos:
        report.gate(
            refused(
                "train.stop_token",
                f"The stop token {template.eos!r} (id {eos}) ends {stopped} of {len(rows)} rows: "
                "the model would never learn to stop.",
                "Check eos_token in tokenizer_config.json against the chat template.",
                waivable=False,
            )
        )
        raise EnvironmentProblem("The stop token is not trained.", fix="See gate train.stop_token.")
    report.gate(passed("train.stop_token", f"{template.eos!r} ends all {len(rows)} rows."))
    share = long / (long + len(rows))
    if long:
        report.gate(
            warned(
                "train.long_rows",
                f"{long} rows ({share:.1%}) are longer than {job.plan.max_length} tokens "
                "and are left out.",
                "Raise max_length.",
            )
        )
    total = sum(len(row["input_ids"]) for row in rows)
    report.gate(
        passed(
            "train.tokens",
            f"{trained} of {total} tokens are trained (answers and stop tokens only).",
        )
    )
    sample = rows[0]
    marked = [
        ("[trained] " if label != -100 else "[context] ") + repr(tokenizer.decode([token]))
        for token, label in zip(sample["input_ids"], sample["labels"], strict=True)
    ]
    (job.dir / "sample.txt").write_text("\n".join(marked) + "\n", "utf-8")


def _trainer(
    job: Job,
    report: Report,
    model_dir: Path,
    tokenizer: Any,
    train: dict[str, Any],
    validation: dict[str, Any],
) -> Any:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, EarlyStoppingCallback, set_seed
    from trl import SFTTrainer
    from trl.trainer import sft_trainer

    plan = job.plan
    torch.set_num_threads(int(job.results["preflight"]["threads"]))
    # Before the model: LoRA's first weights do not follow the trainer's own seed.
    set_seed(plan.seed)
    bf16 = job.results["preflight"]["precision"] == "bf16"
    model = AutoModelForCausalLM.from_pretrained(
        model_dir,
        local_files_only=True,
        # float32 between the layers under bf16 autocast: 350 tokens/s on two cores, against 290
        # with everything in bf16.
        dtype=torch.float32,
        attn_implementation="sdpa",
    )
    model.config.use_cache = False
    if bf16:
        _halve_frozen(model)
    adapter = LoraConfig(
        r=plan.rank,
        lora_alpha=plan.alpha,
        lora_dropout=plan.dropout,
        target_modules=list(plan.targets),
        layers_to_transform=_adapted(plan.top_layers, model.config.num_hidden_layers),
        use_rslora=plan.rank >= 32,
        bias="none",
        task_type="CAUSAL_LM",
    )
    steps = plan.steps(len(train["rows"]))
    micro = int(job.results["preflight"].get("micro_batch") or plan.micro_batch)
    ordered = in_training_order(train["rows"], plan, steps)
    if not torch.cuda.is_available():
        # No setting of TRL reaches it; a test holds the pinned version to the name.
        sft_trainer._CHUNKED_LM_HEAD_CHUNK_SIZE = head_chunk(ordered, micro)
    return SFTTrainer(
        model=model,
        args=_arguments(job, plan, steps=steps, micro=micro, bf16=bf16),
        train_dataset=Dataset.from_list(ordered),
        eval_dataset=Dataset.from_list(validation["rows"]),
        processing_class=tokenizer,
        peft_config=adapter,
        callbacks=[
            EarlyStoppingCallback(early_stopping_patience=plan.patience),
            _progress_callback(report, steps, plan.epochs),
        ],
    )


def _adapted(top: int | None, layers: int) -> list[int] | None:
    """Return the layers that get adapters; None is PEFT's word for all."""
    return None if top is None or top >= layers else list(range(layers - top, layers))


def _halve_frozen(model: Any) -> None:
    """Keep the frozen matrices in bf16: autocast would cast them at every step (6 % of a step).

    Not the output projection: its gradient from bf16 weights takes twice as long as casting them.
    """
    import torch

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and not name.endswith("lm_head"):
            module.weight.data = module.weight.data.to(torch.bfloat16)


def head_chunk(rows: Sequence[dict[str, Any]], micro: int) -> int:
    """Return how many answer tokens the loss should project onto the vocabulary together.

    TRL rounds a batch's answer tokens up to whole chunks of 256, which is three times what two
    short answers have. One chunk that holds the largest batch takes half the time on two cores.

    Args:
        rows: Training rows in order.
        micro: Rows of a batch.
    """
    trained = [sum(label != -100 for label in row["labels"]) for row in rows]
    largest: int = max(sum(trained[i : i + micro]) for i in range(0, len(trained), micro))
    return min(_HEAD_CHUNK, -(-largest // 8) * 8)


def _arguments(job: Job, plan: Plan, *, steps: int, micro: int, bf16: bool) -> Any:
    import torch
    from trl import SFTConfig

    every = max(1, steps // plan.evaluations)
    return SFTConfig(
        output_dir=str(job.dir / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=max(micro, _EVALUATED_TOGETHER),
        gradient_accumulation_steps=plan.batch // micro,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=plan.warmup,
        max_grad_norm=1.0,
        weight_decay=0.01,
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        seed=plan.seed,
        data_seed=plan.seed,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        logging_steps=max(1, steps // 64),
        logging_first_step=True,
        disable_tqdm=True,
        report_to="none",
        dataloader_num_workers=0,
        dataloader_pin_memory=torch.cuda.is_available(),
        # The order is ours: a sampler that draws from the global random state draws another one
        # after a resume.
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        packing=False,
        # Few different shapes: the allocator and oneDNN's cache of kernels stay small.
        pad_to_multiple_of=8,
    )


def in_training_order(
    rows: Sequence[dict[str, Any]], plan: Plan, steps: int
) -> list[dict[str, Any]]:
    """Return the rows of every step in order: each epoch anew shuffled, alike lengths together.

    The order follows from the seed alone, so a resumed training sees what it would have seen.

    Returns:
        `steps` times `plan.batch` rows; shape (steps, batch) when cut into batches.
    """
    rng = random.Random(plan.seed)
    ordered: list[dict[str, Any]] = []
    while len(ordered) < steps * plan.batch:
        shuffled = rng.sample(rows, len(rows))
        # A full last batch of an epoch is filled from its own beginning.
        shuffled += shuffled[: -len(shuffled) % plan.batch]
        window = _ALIKE * plan.batch
        epoch: list[list[dict[str, Any]]] = []
        for start in range(0, len(shuffled), window):
            alike = sorted(shuffled[start : start + window], key=lambda r: len(r["input_ids"]))
            epoch += [alike[i : i + plan.batch] for i in range(0, len(alike), plan.batch)]
        rng.shuffle(epoch)
        ordered += [row for batch in epoch for row in batch]
    return ordered[: steps * plan.batch]


def _progress_callback(report: Report, steps: int, epochs: float) -> Any:
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        """Turns the trainer's log lines into metrics and seals every checkpoint."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            step, values = state.global_step, {}
            for name, key in (("train_loss", "loss"), ("validation_loss", "eval_loss")):
                if key in (logs or {}):
                    values[name] = float(logs[key])
            if not values:
                return
            if not all(math.isfinite(value) for value in values.values()):
                raise EnvironmentProblem(
                    f"The loss is not finite at step {step}: {values}.",
                    fix="Lower learning_rate, or train in float32.",
                )
            report.metric(step=step, epoch=round(step / steps * epochs, 4), **values)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            report.progress(state.global_step, steps, f"step {state.global_step} of {steps}")

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            seal_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    return Progress()


def seal_checkpoint(checkpoint: Path) -> None:
    """Write the manifest of a finished checkpoint, last and durably: without it there is none."""
    files = sorted(p for p in checkpoint.rglob("*") if p.is_file() and p.name != MANIFEST)
    manifest = {str(p.relative_to(checkpoint)): content(p).sha256 for p in files}
    for path in files:
        _sync(path)
    draft = checkpoint / (MANIFEST + ".new")
    draft.write_text(json.dumps(manifest, indent=1), "utf-8")
    _sync(draft)
    draft.replace(checkpoint / MANIFEST)
    _sync(checkpoint)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def last_good_checkpoint(root: Path) -> Path | None:
    """Return the newest checkpoint whose files match its manifest; remove the others.

    The trainer reads the optimizer and random state back only from here.
    """
    good: list[tuple[int, Path]] = []
    for path in root.glob("checkpoint-*"):
        if _matches(path):
            state = json.loads((path / "trainer_state.json").read_text("utf-8"))
            good.append((int(state["global_step"]), path))
        else:
            shutil.rmtree(path)
    return max(good, default=(0, None))[1]


def _matches(checkpoint: Path) -> bool:
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text("utf-8"))
        return bool(manifest) and all(
            content(checkpoint / name).sha256 == sha256 for name, sha256 in manifest.items()
        )
    except (OSError, ValueError):
        return False  # unfinished or damaged: the caller removes it


def _finish(
    job: Job, report: Report, trainer: Any, outcome: Any, train: dict[str, Any]
) -> dict[str, Any]:
    adapter = job.dir / "adapter"
    shutil.rmtree(adapter, ignore_errors=True)
    trainer.model.save_pretrained(adapter)
    weights = _largest_weight(adapter)
    if weights == 0.0:
        report.gate(
            refused(
                "train.adapter",
                "Every LoRA B matrix is zero: training changed nothing.",
                "Raise learning_rate or the number of steps.",
                waivable=False,
            )
        )
    else:
        report.gate(
            passed("train.adapter", f"The adapter differs from zero (max |B| {weights:.4g}).")
        )
    report.artifact("adapter", adapter)
    state = trainer.state
    losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
    tokens = sum(len(row["input_ids"]) for row in train["rows"])
    return {
        "adapter": "train/adapter",
        "rows": len(train["rows"]),
        "tokens": tokens,
        "steps": int(state.global_step),
        "planned_steps": job.plan.steps(len(train["rows"])),
        "best_validation_loss": min(losses, default=None),
        "best_step": _step_of(state.best_model_checkpoint),
        "weights_sha256": content(adapter / "adapter_model.safetensors").sha256,
        "max_abs_b": weights,
    }


def _step_of(checkpoint: str | None) -> int | None:
    return int(checkpoint.rsplit("-", 1)[1]) if checkpoint else None


def _largest_weight(adapter: Path) -> float:
    from safetensors.torch import load_file

    tensors = load_file(adapter / "adapter_model.safetensors")
    return max(
        (float(tensor.abs().max()) for name, tensor in tensors.items() if "lora_B" in name),
        default=0.0,
    )
