"""The deployment checklist: an item is ticked only by the check that verified it.

What nobody checked stays open and says how to do it; a refusal that a person lifted is not a
tick either. The items follow the book, ch. 5 (April 2026): for Ollama, for vLLM, for the hand-over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fathom_tui.gates import Gate, Outcome
from fathom_tui.health import needed
from fathom_tui.package import Delivery

ANCHORS_WANTED = 20
"""Anchor prompts that should be there (book, ch. 5)."""
ADAPTER = "adapter/adapter_model.safetensors"
_FEW = "verify.anchors"
"""The gate that warns of fewer anchors."""
_COMMANDS = (
    *("python3 verify.py --url URL", "python3 verify.py", "verify.py --url", "nvidia-smi"),
    *("usage.md", "benchmarks.md", "eval/", ADAPTER, "SHA256SUMS"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to be verified before or at the hand-over."""

    section: str
    text: str
    evidence: str = ""
    """The check that ticked it, with its date or values; empty leaves it open."""
    how: str = ""
    """How to do it where it is open."""
    typed: tuple[str, ...] = ()
    """Parts of the texts that are to be typed, or read, letter by letter."""

    @property
    def done(self) -> bool:
        """Whether a check has verified it."""
        return bool(self.evidence)

    def to_json(self) -> dict[str, Any]:
        """Return the item as `--json` prints it."""
        return {
            "section": self.section,
            "text": self.text,
            "done": self.done,
            "evidence": self.evidence or None,
            "how": self.how or None,
        }


GATED = (
    ("data.leakage", "No test message stands in the training data", "Look at the data stage."),
    ("merge.logits", "The merged weights answer as base + adapter do", "Run the engagement again."),
    (
        "verify.token_parity",
        "The file is fed the same tokens as in training",
        "Run the engagement again: garbage in Ollama begins here.",
    ),
    ("quantize.perplexity", "Quantising cost no more than its band allows", "Quantise less."),
    (
        "evaluate.improvement",
        "Beats what needs no training, on the unread test split",
        "Read benchmarks.md before you rely on it.",
    ),
    ("evaluate.target", "Reaches the target that was set before", "Read benchmarks.md."),
)
"""Gates of a run: the name, what it verified, and what to do where it did not pass."""


def checklist(delivery: Delivery) -> tuple[Item, ...]:
    """Return every item in the order in which it is worked through."""
    return (
        *(_gated(delivery, *row) for row in GATED),
        *_served(delivery),
        *_receiving(delivery),
        *_handover(delivery),
    )


def _gated(delivery: Delivery, name: str, text: str, how: str) -> Item:
    section, gate, typed = "Built and measured", delivery.gates.get(name), (name, "benchmarks.md")
    if gate is None:
        said = f"This run has no gate {name}. {how}"
        return Item(section=section, text=text, how=said, typed=typed)
    if gate.outcome is Outcome.REFUSE:
        return Item(section=section, text=text, how=_lifted(delivery, gate), typed=typed)
    evidence = _gate_evidence(delivery, gate)
    return Item(section=section, text=text, evidence=evidence, typed=typed)


def _gate_evidence(delivery: Delivery, gate: Gate) -> str:
    warned = ", with a warning" if gate.outcome is Outcome.WARN else ""
    return f"gate {gate.name}{warned}: {delivery.public(gate.reason)}"


def _lifted(delivery: Delivery, gate: Gate) -> str:
    said = f"Gate {gate.name} refused: {delivery.public(gate.reason)}"
    waiver = next((w for w in delivery.waivers if w["gate"] == gate.name), None)
    if waiver is None:
        return said
    return f"{said} Lifted by {waiver['by']}: {waiver['reason']}"


def _served(delivery: Delivery) -> list[Item]:
    section, deployment = "Served where it was made", delivery.deployment
    if deployment is None:
        command = f"fathom deploy {delivery.slug}"
        how = f"Not deployed from here: {command}"
        return [Item(section=section, text="Served and answering", how=how, typed=(command,))]
    items = [_answers(delivery, section, deployment), _anchors(delivery, section)]
    if str(deployment.get("target")) == "vllm":
        items += _vllm(section)
    return [*items, _alerts(delivery, section)]


def _answers(delivery: Delivery, section: str, deployment: Mapping[str, Any]) -> Item:
    text = "Created, activated and answering behind its alias"
    gate = delivery.gates.get("deploy.health")
    if gate is not None and gate.outcome is Outcome.PASS:
        name = f"gate {gate.name} of {delivery.view.id}, deployment {deployment['id']}"
        state = f"{deployment['target']}, {deployment['state']} since {_day(deployment)}"
        found = f"{name} ({state})"
        return Item(section=section, text=text, evidence=found, typed=(gate.name,))
    how = f"fathom health {delivery.slug}"
    return Item(section=section, text=text, how=how, typed=(how,))


def _anchors(delivery: Delivery, section: str) -> Item:
    there = len(delivery.anchors.anchors)
    text = f"All {there} anchor prompts pass through the served endpoint"
    if there < ANCHORS_WANTED:
        text += f" ({ANCHORS_WANTED} wanted{_few(delivery)})"
    how = f"fathom health {delivery.slug}"
    typed = (how, _FEW)
    last = delivery.asked
    if last is None:
        return Item(section=section, text=text, how=f"Never asked. {how}", typed=typed)
    passed, total = int(last["passed"]), int(last["total"])
    said = f"{passed} of {total} passed on {_day(last)}"
    if passed == total >= there > 0:
        found = f"check of {last['deployment']}: {said}"
        return Item(section=section, text=text, evidence=found, typed=typed)
    return Item(section=section, text=text, how=f"{said}. {how}", typed=typed)


def _few(delivery: Delivery) -> str:
    gate = delivery.gates.get(_FEW)
    return f", see warning {_FEW}" if gate is not None and gate.outcome is Outcome.WARN else ""


def _vllm(section: str) -> list[Item]:
    asked = (
        ("Limits set: --max-model-len and --gpu-memory-utilization 0.9", "Read the unit."),
        ("An API key is asked for", "curl without the key must answer 401."),
        ("Requests are limited in front of it", "Set a rate limit in the reverse proxy."),
        ("Metrics are collected", "Scrape /metrics."),
        ("Load test", "Send the expected peak of requests for ten minutes; watch the latency."),
        ("Comes back after running out of memory", "kill -9 the server; it must answer again."),
        ("The adapter can be swapped while it serves", "Load and unload adapter/ by the API."),
    )
    return [Item(section=section, text=text, how=how) for text, how in asked]


def _alerts(delivery: Delivery, section: str) -> Item:
    text = "Somebody is told when the anchors fail"
    health = f"fathom health {delivery.slug}"
    told = [row for row in delivery.alerts if any(d.get("ok") for d in row.get("delivered") or ())]
    hook = next((k for k in ("alert_command", "alert_webhook") if delivery.facts.get(k)), "")
    if told and hook:
        hooks = ", ".join(str(d["hook"]) for d in told[-1]["delivered"] if d.get("ok"))
        found = f"alert of {_day(told[-1])}, delivered by {hooks}"
        return Item(section=section, text=text, evidence=found)
    if hook:
        never = "never delivered" if delivery.alerts else "never fired yet"
        serve = f"fathom serve {delivery.slug}"
        ours = str((delivery.deployment or {}).get("target")) == "llama-cpp"
        stop = f"{serve} --stop" if ours else "stop the service that serves it"
        how = f"{hook} is set, {never}: test it with {stop}, then {health}, and start it again"
        typed = (hook, health, f"{serve} --stop")
        return Item(section=section, text=text, how=how, typed=typed)
    how = f"{health} --on-alert COMMAND --keep"
    return Item(section=section, text=text, how=how, typed=(how,))


def _receiving(delivery: Delivery) -> list[Item]:
    section = "On the machine that receives it"
    log = f"journalctl --user -u {delivery.slug}-anchors.service"
    timers = "systemctl --user list-timers"
    asked = (
        (
            f"Checksums right, the file loads, {_enough(delivery)}",
            "python3 verify.py (exit code 0)",
        ),
        (
            "A test prompt answers what the contract allows",
            "The request in usage.md, \u201cAsk it\u201d.",
        ),
        (
            "Comes back by itself after a reboot",
            "Install the unit of usage.md, reboot, run: python3 verify.py --url URL",
        ),
        ("Memory of the GPU is enough", "nvidia-smi while it answers; skip it on a CPU."),
        (
            "Anchors are asked every day",
            f"Install the timer of usage.md. Is it there: {timers}. Tomorrow, its log: {log}",
        ),
    )
    typed = (log, timers, *_COMMANDS)
    return [Item(section=section, text=text, how=how, typed=typed) for text, how in asked]


def _enough(delivery: Delivery) -> str:
    total = len(delivery.anchors.anchors)
    least = needed(delivery.anchors.threshold, total)
    return f"{'all' if least == total else f'at least {least} of'} {total} anchors pass"


def _handover(delivery: Delivery) -> list[Item]:
    section = "Hand-over"
    model = delivery.spec.sha256[:12]
    return [
        _licence(delivery, section),
        Item(
            section=section,
            text="Adapter delivered, not merged",
            evidence=_adapter(delivery),
            how="The run kept no adapter.",
            typed=_COMMANDS,
        ),
        Item(
            section=section,
            text="Benchmarks and evaluation cases delivered",
            typed=_COMMANDS,
            evidence=f"benchmarks.md and eval/ of {delivery.view.id}, {len(delivery.cases)} cases "
            f"scored on the file {model}",
        ),
        Item(
            section=section,
            text="A call of 30 minutes",
            how="Walk through usage.md together.",
            typed=_COMMANDS,
        ),
        Item(
            section=section,
            text="The client restarts it alone",
            how="They reboot the machine and run verify.py --url while you only watch.",
            typed=_COMMANDS,
        ),
        _purged(delivery, section),
    ]


def _licence(delivery: Delivery, section: str) -> Item:
    text, licence = "The base model's licence allows this delivery", delivery.licence
    if licence.allows_delivery:
        return Item(section=section, text=text, evidence=f"{licence.name}, from {licence.source}")
    if licence.name is None:
        return Item(section=section, text=text, how="The licence is unknown: ask its publisher.")
    what = "does not allow commercial use" if licence.commercial is False else "has to be read"
    return Item(section=section, text=text, how=f"{licence.name} {what}; see LICENSE.")


def _adapter(delivery: Delivery) -> str:
    found = delivery.adapter_sha256
    return f"{ADAPTER}, sha256 {found}, as in SHA256SUMS" if found else ""


def _purged(delivery: Delivery, section: str) -> Item:
    text = "Training data deleted, and confirmed in writing"
    until = delivery.facts.get("retention_until")
    if delivery.purges:
        last = delivery.purges[-1]
        said = f"certificate {str(last['certificate']).rpartition('/')[2]} of {_day(last)}"
        return Item(section=section, text=text, evidence=f"{said}, by {last['by']}")
    due = f"due on {until}: " if until else "within 30 days of the hand-over: "
    command = f"fathom engagement purge {delivery.slug} --by NAME --reason TEXT"
    return Item(section=section, text=text, how=f"{due}{command}", typed=(command,))


def _day(row: Mapping[str, Any]) -> str:
    return str(row.get("at", ""))[:10]


def to_markdown(items: Sequence[Item], title: str) -> str:
    """Return the checklist as Markdown task lists, a section each."""
    from fathom_tui.reports.markdown import quoted

    done = sum(item.done for item in items)
    lines = [
        f"# {quoted(title)}: deployment checklist",
        "",
        f"{done} of {len(items)} items are ticked. A tick names the check that verified it; "
        "everything else is yours to do.",
    ]
    for section in dict.fromkeys(item.section for item in items):
        lines += ["", f"## {quoted(section)}", ""]
        lines += [_line(item) for item in items if item.section == section]
    return "\n".join(lines) + "\n"


def _line(item: Item) -> str:
    from fathom_tui.reports.document import with_code
    from fathom_tui.reports.markdown import line

    mark, word, said = (
        ("x", "Verified by", item.evidence) if item.done else (" ", "To do", item.how)
    )
    shown = [line(with_code(text, item.typed)) for text in (item.text, said)]
    return f"- [{mark}] {shown[0]}. {word}: {shown[1]}"
