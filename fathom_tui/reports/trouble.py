"""The part of `usage.md` for bad days: a reboot, garbage, a GPU, a slow decline."""

from fathom_tui.package import CHECKSUMS, Delivery, at_delivery
from fathom_tui.reports.document import (
    Block,
    Code,
    Heading,
    Paragraph,
    Table,
    Typed,
    with_code,
)
from fathom_tui.reports.running import PORT, UNITS, URL, rule, serve_arguments


def trouble(delivery: Delivery, runtime: str) -> list[Block]:
    """Say what to do after a reboot, with garbage, with a GPU and with a slow decline.

    Args:
        delivery: What is packed.
        runtime: The version of llama-cpp-python that the file was checked with.
    """
    return [
        *_after_reboot(delivery),
        *_garbage(delivery),
        *_gpu(delivery, runtime),
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
                f"python3 verify.py --url {URL}\n"
                f"systemctl --user list-timers {slug}-anchors.timer      # the daily check's time\n"
                f"journalctl --user -u {slug}-anchors.service -n 50      # what it found"
            ),
            language="sh",
        ),
        Paragraph(
            text=(
                "If it only comes back once you log in, lingering is off: ",
                Typed('loginctl enable-linger "$USER"'),
                ". If the port is taken (Errno 98), another program has it: ",
                Typed("ss -ltnp"),
                ".",
            )
        ),
    ]


def _garbage(delivery: Delivery) -> list[Block]:
    rows = (
        (
            f"sha256sum -c {CHECKSUMS} fails",
            "The copy is damaged, or somebody changed a file",
            "Copy the package again.",
        ),
        (
            "verify.py fails, Python would import a file",
            "A module or a library was put beside verify.py",
            "Move it away: it could run in place of what the check or the server needs.",
        ),
        (
            "verify.py --url: Connection refused",
            "No server listens there",
            f"Look why: systemctl --user status {delivery.slug}.service",
        ),
        (
            "verify.py --url: 404",
            "The address is another, or the model has another name there",
            "Most addresses end in /v1; --model says what the server calls it.",
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
        (
            "verify.py notes a file that is not in the package",
            "Something was put into this directory",
            "Nothing: it changes no answer. Move it away if you like.",
        ),
    )
    status = f"systemctl --user status {delivery.slug}.service"
    typed = (f"sha256sum -c {CHECKSUMS}", "verify.py", "--url", "--model", "/v1", status)
    return [
        Heading(text="When the output is garbage, or a check fails"),
        Paragraph(text=("Go down this list; the first line that fits names the cause.",)),
        Table(
            header=(("What you see",), ("Cause",), ("What to do",)),
            rows=tuple(tuple(with_code(cell, typed) for cell in row) for row in rows),
            words=3,
            wide=(0, 2),
        ),
    ]


def _gpu(delivery: Delivery, runtime: str) -> list[Block]:
    return [
        Heading(text="GPU health, and serving on a GPU"),
        Paragraph(
            text=(
                "On a machine without a GPU there is nothing to do here. With one of NVIDIA's and "
                "the CUDA toolkit (",
                Typed("nvcc --version"),
                " answers), stop the server, which holds the port, build llama.cpp for the card, "
                "put every layer on it in the server's unit, so that a reboot keeps it, start it "
                "again and check:",
            )
        ),
        Code(text=_gpu_commands(delivery, runtime), language="sh"),
        Paragraph(
            text=(
                "The line that begins with ",
                Typed("ExecStart="),
                " in ",
                Typed(f"{UNITS}/{delivery.slug}.service"),
                " then reads, with this directory in the place of the dots:",
            )
        ),
        Code(
            text=f'ExecStart="…/.venv/bin/python" -m llama_cpp.server '
            f"{serve_arguments(delivery, '…/')} --n_gpu_layers -1"
        ),
        Paragraph(
            text=(
                "Without that unit, stop the server that you started by hand and type its command "
                "anew with the same ending. A GPU rounds otherwise than a CPU, so the anchors "
                "decide whether it may serve. Type ",
                Typed("nvidia-smi"),
                " while it serves: if the GPU is used, it lists a process of Python that holds "
                "the model in the card's memory.",
            )
        ),
        Paragraph(text=("How the card is:",)),
        Code(
            text=(
                "nvidia-smi                                # memory and load while it answers\n"
                "nvidia-smi -q -d PERFORMANCE,TEMPERATURE  # an active slowdown: heat or power\n"
                "journalctl -k | grep -i xid               # a line names a fault\n"
                "nvidia-smi -q -d ECC                      # uncorrected errors"
            ),
            language="sh",
        ),
        Paragraph(text=("A fault or an uncorrected error: stop trusting that card.",)),
    ]


def _gpu_commands(delivery: Delivery, runtime: str) -> str:
    unit = f"{delivery.slug}.service"
    return (
        f"systemctl --user stop {unit}         # it holds port {PORT}\n"
        "CMAKE_ARGS=-DGGML_CUDA=on .venv/bin/pip install --force-reinstall --no-cache-dir "
        f'"llama-cpp-python[server]=={runtime}"\n'
        "sed -i '/^ExecStart=/{/--n_gpu_layers/!s/$/ --n_gpu_layers -1/}' "
        f"{UNITS}/{unit}\n"
        f"grep ExecStart= {UNITS}/{unit}     # the line ends with --n_gpu_layers -1\n"
        "systemctl --user daemon-reload\n"
        f"systemctl --user restart {unit}\n"
        f"python3 verify.py --url {URL}"
    )


def _degradation(delivery: Delivery) -> list[Block]:
    total = len(delivery.anchors.anchors)
    return [
        Heading(text="Has it become worse?"),
        Code(
            text=(
                f"python3 verify.py --url {URL}          # the {total} anchors, every day\n"
                f"python3 verify.py --url {URL} --eval   # all evaluation cases, after a change"
            ),
            language="sh",
        ),
        Paragraph(text=(f"{_asked(delivery)} {rule(delivery)}",)),
        Paragraph(text=(Typed("--eval"), f" {_evaluation(delivery)}")),
        Paragraph(
            text=(
                "A file cannot become worse by itself: what changes is the server, or the "
                "messages. If anchors pass and people complain, the messages have changed: "
                "collect a hundred recent ones with right answers and train again.",
            )
        ),
    ]


def _evaluation(delivery: Delivery) -> str:
    """Say what the count of `verify.py --eval` means."""
    known = at_delivery(delivery)
    if known is None:
        return "asks nothing: this run has no evaluation cases."
    asked = f"asks the {known['total']} evaluation cases, which takes minutes."
    right = f"{known['right']} were right at delivery"
    if not known["free"]:
        return (
            f"{asked} {right}, held to the grammar; how many are right without it was not kept, "
            "so the count is for you to compare with a later one and decides nothing."
        )
    return (
        f"{asked} {right}, asked in the same way (95 %: {known['low']:.0%} to "
        f"{known['high']:.0%}). A case or two more or fewer is chance; below {known['least']} it "
        "has become worse, and the exit code is 1."
    )


def _asked(delivery: Delivery) -> str:
    """Say how the anchors did before the delivery."""
    total = len(delivery.anchors.anchors)
    last = delivery.asked
    if last is None:
        return f"The file itself answered all {total} anchors when they were chosen."
    return (
        f"{last['passed']} of {last['total']} anchors passed when they were last asked through a "
        f"server before the delivery, on {str(last['at'])[:10]}."
    )
