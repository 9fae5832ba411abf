"""LoRA fine-tuning as a plain script of TRL: the recipe of a work order and nothing around it.

    python bench/plain_script.py RUN/train/order.json

What a user would write instead of running the stage `train`; `bench/orchestration.py` times it.
It imports nothing of Fathom.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, EarlyStoppingCallback, set_seed
from trl import SFTConfig, SFTTrainer


def main(order: Path) -> None:
    """Train on the rows of the order's run and save the adapter beside it."""
    job = json.loads(order.read_text("utf-8"))
    plan, preflight = job["plan"], job["results"]["preflight"]
    out, data = order.parent, order.parent.parent / "data"
    torch.set_num_threads(int(preflight["threads"]))
    set_seed(plan["seed"])
    train = rows(data / "train.jsonl", plan["short_instruction"])
    validation = rows(data / "validation.jsonl", plan["short_instruction"])[: plan["loss_rows"]]
    steps = max(1, round(len(train) / plan["batch"] * plan["epochs"]))
    model = AutoModelForCausalLM.from_pretrained(
        preflight["model_dir"], local_files_only=True, dtype=torch.float32
    )
    layers = model.config.num_hidden_layers
    trainer = SFTTrainer(
        model=model,
        args=settings(plan, out / "checkpoints", steps, bf16=preflight["precision"] == "bf16"),
        train_dataset=Dataset.from_list(train),
        eval_dataset=Dataset.from_list(validation),
        processing_class=AutoTokenizer.from_pretrained(
            preflight["model_dir"], local_files_only=True
        ),
        peft_config=LoraConfig(
            r=plan["rank"],
            lora_alpha=plan["alpha"],
            lora_dropout=plan["dropout"],
            target_modules=plan["targets"],
            layers_to_transform=list(range(layers - (plan["top_layers"] or layers), layers)),
            bias="none",
            task_type="CAUSAL_LM",
        ),
        callbacks=[EarlyStoppingCallback(early_stopping_patience=plan["patience"])],
    )
    trainer.train()
    trainer.model.save_pretrained(out / "adapter")


def rows(path: Path, system: str) -> list[dict[str, Any]]:
    """Return conversations; TRL renders them and takes the loss on the completion alone."""
    return [
        {
            "prompt": [
                {"role": "system", "content": system},
                {"role": "user", "content": case["input"]},
            ],
            "completion": [{"role": "assistant", "content": case["output"]}],
        }
        for case in map(json.loads, path.read_text("utf-8").splitlines())
    ]


def settings(plan: dict[str, Any], out: Path, steps: int, *, bf16: bool) -> SFTConfig:
    """Return the trainer's settings, as the stage has them."""
    every = max(1, steps // plan["evaluations"])
    return SFTConfig(
        output_dir=str(out),
        max_steps=steps,
        max_length=plan["max_length"],
        per_device_train_batch_size=plan["micro_batch"],
        per_device_eval_batch_size=plan["micro_batch"],
        gradient_accumulation_steps=plan["batch"] // plan["micro_batch"],
        gradient_checkpointing=False,
        learning_rate=plan["learning_rate"],
        lr_scheduler_type="cosine",
        warmup_steps=plan["warmup"],
        weight_decay=0.01,
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=plan["seed"],
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=max(1, steps // 64),
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=torch.cuda.is_available(),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
