"""The half of `usage.md` that is commands: start, start at boot, repair, watch, update.

Nothing in it needs Fathom on the receiving machine, and every command is typed in the package's
directory.
"""

import json
import shlex

from fathom_tui.package import CHECKSUMS, Delivery
from fathom_tui.reports.document import Block, Code, Heading, Items, Paragraph, Strong, Table, Text

PORT = 8000
URL = f"http://127.0.0.1:{PORT}/v1"
OLLAMA_URL = "http://127.0.0.1:11434/v1"


def serve_arguments(delivery: Delivery, directory: str = "") -> str:
    """Return what the llama.cpp server is started with.

    Args:
        delivery: What is packed.
        directory: What leads to the package, with its last slash.
    """
    return (
        f'--model "{directory}{delivery.gguf}" --model_alias {delivery.slug} --host 127.0.0.1 '
        f"--port {PORT} --n_ctx {delivery.spec.n_ctx} --logits_all False "
        "--interrupt_requests False --verbose False"
    )


def request(delivery: Delivery, message: str) -> dict[str, object]:
    """Return the body of a chat request, as an OpenAI-compatible server takes it."""
    return {
        "model": delivery.slug,
        "temperature": 0,
        "max_tokens": delivery.spec.max_new_tokens,
        "messages": delivery.anchors.messages(message),
    }


def curl(delivery: Delivery, url: str, message: str) -> str:
    """Return a request as it is typed."""
    body = shlex.quote(json.dumps(request(delivery, message), ensure_ascii=False))
    header = shlex.quote("Content-Type: application/json")
    return f"curl -s {url}/chat/completions -H {header} -d {body}"


def first_start(delivery: Delivery, runtime: str, message: str) -> list[Block]:
    """Say how to check and serve the package with nothing but Python.

    Args:
        delivery: What is packed.
        runtime: The version of llama-cpp-python that the file was checked with.
        message: What the example asks.
    """
    return [
        Heading(text="Run it on any machine (Python 3.10 or newer, nothing else)"),
        Paragraph(
            text=(
                "Type everything in this directory. Installing llama-cpp-python compiles "
                "llama.cpp: it takes some minutes and needs a C++ compiler.",
            )
        ),
        Code(
            text=(
                f"sha256sum -c {CHECKSUMS}                  # every file is as it was sent\n"
                "python3 -m venv .venv\n"
                f'.venv/bin/pip install "llama-cpp-python[server]=={runtime}"\n'
                ".venv/bin/python verify.py              # loads the model, asks every anchor"
            ),
            language="sh",
        ),
        Paragraph(
            text=(
                "verify.py ends with 0 when all is well, 1 when a file or an anchor is wrong, 3 "
                "when it could not check.",
            )
        ),
        Heading(text="Serve it", level=3),
        Code(
            text=f".venv/bin/python -m llama_cpp.server {serve_arguments(delivery)}",
            language="sh",
        ),
        Heading(text="Ask it", level=3),
        Code(text=curl(delivery, URL, message), language="sh"),
        Paragraph(text=("Check the server with the same anchors as the file:",)),
        Code(text=f"python3 verify.py --url {URL}", language="sh"),
    ]


def ollama(delivery: Delivery) -> list[Block]:
    """Say how to serve the package by Ollama."""
    name = f"{delivery.slug}:{delivery.version}"
    return [
        Heading(text="Run it in Ollama"),
        Code(
            text=(
                f"ollama create {name} -f Modelfile\n"
                f"ollama cp {name} {delivery.slug}            # the name that clients use\n"
                f"python3 verify.py --url {OLLAMA_URL} --model {delivery.slug}"
            ),
            language="sh",
        ),
        Paragraph(
            text=(
                "The Modelfile carries the system text, the sampling and the context. Keep the "
                f"numbered name {name}: going back is one ",
                Strong("ollama cp"),
                ".",
            )
        ),
    ]


def fathom(delivery: Delivery) -> list[Block]:
    """Say how to check the package with Fathom, and to serve it where it was made."""
    slug = delivery.slug
    return [
        Heading(text="With Fathom"),
        Code(
            text=(
                "fathom package verify .                 # on any machine that has Fathom\n"
                f"fathom serve {slug}                       # where it was trained\n"
                f"fathom health {slug}"
            ),
            language="sh",
        ),
    ]


def at_boot(delivery: Delivery) -> list[Block]:
    """Say how the server comes back by itself, and how anchors are asked every day."""
    slug = delivery.slug
    unit = (
        "mkdir -p ~/.config/systemd/user\n"
        f"cat > ~/.config/systemd/user/{slug}.service <<UNIT\n"
        "[Unit]\n"
        f"Description={slug} {delivery.version}\n"
        "[Service]\n"
        f'ExecStart="$PWD/.venv/bin/python" -m llama_cpp.server '
        f"{serve_arguments(delivery, '$PWD/')}\n"
        "Restart=on-failure\nRestartSec=3\n"
        "[Install]\nWantedBy=default.target\n"
        "UNIT\n"
        f"cat > ~/.config/systemd/user/{slug}-anchors.service <<UNIT\n"
        "[Unit]\n"
        f"Description=anchors of {slug}\n"
        "[Service]\n"
        "Type=oneshot\n"
        f'ExecStart="$PWD/.venv/bin/python" "$PWD/verify.py" --url {URL}\n'
        "UNIT\n"
        f"cat > ~/.config/systemd/user/{slug}-anchors.timer <<UNIT\n"
        "[Unit]\n"
        f"Description=anchors of {slug}, every day\n"
        "[Timer]\nOnCalendar=daily\nPersistent=true\nRandomizedDelaySec=15min\n"
        "[Install]\nWantedBy=timers.target\n"
        "UNIT\n"
        "systemctl --user daemon-reload\n"
        f"systemctl --user enable --now {slug}.service {slug}-anchors.timer\n"
        'loginctl enable-linger "$USER"          # start at boot, before anybody logs in'
    )
    return [
        Heading(text="Start at boot, and check every day (Linux)"),
        Code(text=unit, language="sh"),
    ]


def trouble(delivery: Delivery) -> list[Block]:
    """Say what to do after a reboot, with garbage, with a GPU and with a slow decline."""
    return [
        *_after_reboot(delivery),
        *_garbage(delivery),
        *_gpu(),
        *_degradation(delivery),
    ]


def _after_reboot(delivery: Delivery) -> list[Block]:
    slug = delivery.slug
    return [
        Heading(text="After a reboot"),
        Code(
            text=(
                f"systemctl --user status {slug}.service\n"
                f"systemctl --user start {slug}.service     # if it is not active\n"
                f"journalctl --user -u {slug}.service -n 50 # if it does not stay active\n"
                f"python3 verify.py --url {URL}"
            ),
            language="sh",
        ),
        Paragraph(
            text=(
                "If it only comes back once you log in, lingering is off: loginctl enable-linger. "
                "If the port is taken, another program has it: ss -ltnp.",
            )
        ),
    ]


def _garbage(delivery: Delivery) -> list[Block]:
    rows = (
        (
            f"sha256sum -c {CHECKSUMS} fails",
            "The copy is damaged",
            "Copy the package again.",
        ),
        (
            "verify.py fails, sums are right",
            "Another llama.cpp, or broken memory",
            "Install the version above; then test the memory of the machine.",
        ),
        (
            "verify.py passes, with --url it fails",
            "The server changes the prompt",
            "Compare system text, chat template and context; create the Ollama model again from "
            "this Modelfile.",
        ),
        (
            "Both pass, your program gets garbage",
            "Your program asks in another way",
            "Send the request above byte for byte: system text, temperature 0, no history.",
        ),
        (
            "Answers never end, or repeat",
            "The stop token is lost",
            "A template of your own overrides the model's: remove it.",
        ),
        (
            "Answers are cut",
            "max_tokens is too low",
            f"Set max_tokens to {delivery.spec.max_new_tokens}.",
        ),
    )
    return [
        Heading(text="When the output is garbage"),
        Paragraph(text=("Go down this list; the first line that fits names the cause.",)),
        Table(
            header=(("What you see",), ("Cause",), ("What to do",)),
            rows=tuple(tuple((cell,) for cell in row) for row in rows),
            words=3,
            wide=(0, 2),
        ),
    ]


def _gpu() -> list[Block]:
    items: tuple[Text, ...] = (
        ("Memory and load while it answers: ", Strong("nvidia-smi"), "."),
        (
            "Falling clocks: nvidia-smi -q -d PERFORMANCE,TEMPERATURE; a slowdown that is active "
            "means heat or power.",
        ),
        (
            "Faults: journalctl -k | grep -i xid (a line names the fault), and "
            "nvidia-smi -q -d ECC for uncorrected errors. Either one: stop trusting that card.",
        ),
        (
            "Is the GPU used at all? The server's log names it and the layers on it when it is "
            "started with --verbose True.",
        ),
    )
    return [
        Heading(text="GPU health"),
        Paragraph(text=("On a machine without a GPU there is nothing to look at.",)),
        Items(items=items),
    ]


def _degradation(delivery: Delivery) -> list[Block]:
    total = len(delivery.anchors.anchors)
    least = _least(delivery)
    return [
        Heading(text="Has it become worse?"),
        Code(
            text=(
                f"python3 verify.py --url {URL}          # the {total} anchors, every day\n"
                f"python3 verify.py --url {URL} --eval   # all evaluation cases, after a change"
            ),
            language="sh",
        ),
        Paragraph(
            text=(
                f"{_asked(delivery)} Below {least} of {total} treat it as broken; one or two that "
                "flip after a change of llama.cpp or of the machine are near ties. A file cannot "
                "become worse by itself: what changes is the server, or the messages. If anchors "
                "pass and people complain, the messages have changed: collect a hundred recent "
                "ones with right answers and train again.",
            )
        ),
    ]


def _asked(delivery: Delivery) -> str:
    """Say how the anchors did before the delivery."""
    total = len(delivery.anchors.anchors)
    if not delivery.checks:
        return f"The file itself answered all {total} anchors when they were chosen."
    last = delivery.checks[-1]
    return (
        f"{last['passed']} of {last['total']} anchors passed when they were last asked through a "
        f"server before the delivery, on {str(last['at'])[:10]}."
    )


def _least(delivery: Delivery) -> int:
    total = len(delivery.anchors.anchors)
    return next(n for n in range(total + 1) if n >= delivery.anchors.threshold * total - 1e-9)


def updating(delivery: Delivery) -> list[Block]:
    """Say how another version replaces this one, and how to go back."""
    slug = delivery.slug
    return [
        Heading(text="Update, and go back"),
        Items(
            items=(
                ("Never change a file here: a new version is a new package in its own directory.",),
                ("Run the new package's verify.py before anything else.",),
                (
                    f"Make {slug}.service anew in the new directory, as above, then type: "
                    f"systemctl --user restart {slug}.service",
                ),
                (
                    "In Ollama: create the new numbered name, then ollama cp it onto the name "
                    "that clients use.",
                ),
                ("Run verify.py --url again. If it fails, point back to this directory.",),
                (
                    "A newer llama.cpp counts as a change: run verify.py with it, and --eval, "
                    "before it serves.",
                ),
            )
        ),
    ]
