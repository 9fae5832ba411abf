"""The half of `usage.md` that is commands: start, start at boot, be told, update.

Nothing in it needs Fathom on the receiving machine, and every command is typed in the package's
directory.
"""

import json
import shlex

from fathom_tui.health import needed
from fathom_tui.package import CHECKSUMS, Delivery
from fathom_tui.reports.document import (
    Block,
    Code,
    Heading,
    Items,
    Paragraph,
    Table,
    Typed,
    with_code,
)

PORT = 8000
URL = f"http://127.0.0.1:{PORT}/v1"
OLLAMA_URL = "http://127.0.0.1:11434/v1"
UNITS = "~/.config/systemd/user"
"""Where a user's own units stand (systemd.unit(5))."""


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
        Heading(text="Run it on any machine (Python 3.10 or newer and a C++ compiler)"),
        Paragraph(
            text=(
                "Type everything in this directory. Installing llama-cpp-python compiles "
                "llama.cpp, which takes some minutes. What that needs comes first; on Debian and "
                "Ubuntu it is:",
            )
        ),
        Code(text="sudo apt install python3-venv python3-dev build-essential", language="sh"),
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
                Typed("verify.py"),
                " ends with 0 when all is well, 1 when a file is wrong or too few anchors pass, 3 "
                f"when it could not check. {rule(delivery)}",
            )
        ),
        Paragraph(
            text=(
                "A file that is not in the package is named as a note and changes nothing, unless "
                "Python would import it in place of a module.",
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
        Paragraph(
            text=(
                "It waits up to a minute for a server that is still starting; ",
                Typed("--wait SECONDS"),
                " changes that.",
            )
        ),
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
                "numbered name ",
                Typed(name),
                ": going back is one ",
                Typed("ollama cp"),
                ". The names are your own to choose. Where Fathom itself deploys to Ollama, the "
                "name that clients use is ",
                Typed(f"{delivery.slug}:live"),
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
        f"Wants={slug}.service\n"
        f"After={slug}.service\n"
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


def heard(delivery: Delivery) -> list[Block]:
    """Say how somebody is told of a failed daily check, by systemd or by a monitor.

    The states of a monitor are those of the monitoring-plugins guidelines: 0 OK, 1 warning,
    2 critical, 3 unknown.
    """
    slug = delivery.slug
    rows = (
        ("0", "all is well", "0, OK"),
        ("1", "a file is wrong, or too few anchors pass", "2, CRITICAL"),
        ("3", "it could not check: nobody answers, or a file cannot be read", "3, UNKNOWN"),
    )
    typed = ("OnFailure=", "ExecStart=", "verify.py", f"{slug}-failed.service", "logger")
    first = (
        "So far a failed check stands in the journal and tells nobody. These units make it heard, "
        "whether an answer was wrong or nobody answered. Put your own address into one of the "
        "lines with # and take the # away: what logger writes is heard only where somebody reads "
        "the system's log."
    )
    second = (
        "A machine that is off tells nobody. Where a monitor on another one asks its agent here, "
        "let the agent do this in this directory; monitors that work as Nagios does call a 1 a "
        "warning, so it is turned into their 2:"
    )
    return [
        Heading(text="Be told when the daily check fails"),
        Paragraph(text=with_code(first, typed)),
        Code(text=_failure_units(slug), language="sh"),
        Paragraph(text=with_code(second, typed)),
        Code(text=_monitor(), language="sh"),
        Table(
            header=(("Exit code of ", Typed("verify.py")), ("Meaning",), ("For the monitor",)),
            rows=tuple(tuple((cell,) for cell in row) for row in rows),
            words=3,
            wide=(1,),
        ),
    ]


def _failure_units(slug: str) -> str:
    journal = f"journalctl --user -u {slug}-anchors.service"
    said = f"{slug}: the daily check failed"
    return (
        f"mkdir -p {UNITS}/{slug}-anchors.service.d\n"
        f"cat > {UNITS}/{slug}-failed.service <<'UNIT'\n"
        "[Unit]\n"
        f"Description=tell that the check of {slug} failed\n"
        "[Service]\n"
        "Type=oneshot\n"
        f'ExecStart=/usr/bin/logger -p user.crit -t {slug} "{said}, see {journal}"\n'
        f"#ExecStart=/bin/sh -c '{journal} -n 40 | mail -s \"{said}\" ops@example.com'\n"
        "#ExecStart=/usr/bin/curl -fsS -m 20 -H 'Content-Type: application/json' "
        f'-d \'{{"text": "{said}"}}\' https://example.com/webhook\n'
        "UNIT\n"
        f"cat > {UNITS}/{slug}-anchors.service.d/failed.conf <<'UNIT'\n"
        "[Unit]\n"
        f"OnFailure={slug}-failed.service\n"
        "UNIT\n"
        "systemctl --user daemon-reload\n"
        f"systemctl --user start {slug}-failed.service        # try it: somebody must hear this"
    )


def _monitor() -> str:
    return (
        "sh -c '\n"
        f"said=$(python3 verify.py --url {URL} --wait 5); code=$?\n"
        'echo "$said" | tail -n 1                 # PASS, FAIL or COULD NOT CHECK\n'
        'test "$code" -eq 1 && exit 2\n'
        'exit "$code"\n'
        "'"
    )


def rule(delivery: Delivery) -> str:
    """Say from how many missed anchors on it is broken: the rule of verify.py and `health`."""
    total = len(delivery.anchors.anchors)
    least = needed(delivery.anchors.threshold, total)
    if least >= total:
        return f"All {total} anchors must pass: with one missed it is broken."
    missed = "one missed is" if least == total - 1 else f"up to {total - least} missed are"
    return (
        f"Of {total} anchors {least} must pass: {missed} a near tie, which another llama.cpp or "
        f"another machine may flip; with {least - 1} or fewer right it is broken."
    )


def updating(delivery: Delivery) -> list[Block]:
    """Say how another version replaces this one, and how to go back."""
    slug = delivery.slug
    restart = f"systemctl --user restart {slug}.service"
    typed = (
        restart, f"{slug}.service", "verify.py --url", "verify.py", "--eval", "ollama cp",
        "--n_gpu_layers -1",
    )  # fmt: skip
    return [
        Heading(text="Update, and go back"),
        Items(
            items=tuple(
                with_code(text, typed)
                for text in (
                    "Never change a file here: a new version is a new package in its own "
                    "directory.",
                    "Run the new package's verify.py before anything else.",
                    f"Make {slug}.service anew in the new directory, as above, then type: "
                    f"systemctl --user restart {slug}.service",
                    "Where it serves on a GPU, add --n_gpu_layers -1 to that unit again.",
                    "In Ollama: create the new numbered name, then ollama cp it onto the name "
                    "that clients use.",
                    "Run verify.py --url again. If it fails, point back to this directory.",
                    "A newer llama.cpp counts as a change: run verify.py with it, and --eval, "
                    "before it serves.",
                )
            )
        ),
    ]
