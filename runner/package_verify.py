"""Check a delivered package: its files against SHA256SUMS, and the model against its anchors.

Goes into every package as `verify.py` and needs nothing of Fathom: the standard library, and
llama-cpp-python where the file itself is asked rather than a server.

    python3 verify.py                               the file, in this directory
    python3 verify.py --url http://127.0.0.1:8000/v1    a server that answers for it
    python3 verify.py --checksums-only              the files alone

    python3 verify.py --eval                        the evaluation cases as well: minutes

Ends with 0 when all is well, 1 when a file is wrong, fewer anchors pass than must or fewer cases
are right than chance explains, 3 when it could not check.

The files of the package decide. One that is not in the package is named and changes nothing,
unless Python would take it for a module. With a wrong file the anchors are asked all the same,
but of a server or of a model whose own sum is right.

How many anchors must pass is the "threshold" in anchors.json, a share of them: where two answers
are almost equally likely, another llama.cpp or another machine may choose the other one.

Checksums tell damage, not forgery: compare the sum of SHA256SUMS itself with the one that the
sender told you in another way.
"""

import argparse
import hashlib
import json
import math
import os
import re
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

GOOD, BAD, COULD_NOT_CHECK = 0, 1, 3
CHECKSUMS, MANIFEST, ANCHORS = "SHA256SUMS", "manifest.json", "anchors.json"
CASES = "eval/cases.jsonl"
IGNORED = (".venv", "__pycache__")
"""Directories that usage.md makes beside the files; nothing in them is delivered."""
PATIENT = {"GOMP_SPINCOUNT": "0"}
"""llama.cpp's threads sleep while they wait for each other. Where other programs are busy, as the
server of another version may be, that is the difference between 20 seconds and 4 minutes for ten
answers of a 135M model on two cores; what a person has set stays."""
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_BLOCK = 1 << 20
_MOST_TOKENS = 2**31 - 1
"""llama.cpp counts tokens in 32 bits with a sign (include/llama.h, llama_token)."""
_TIMEOUT_S = 120
_START_S = 60
"""How long a server may take to start: the time in which a disk that reads 100 MB/s, as a slow one
does, has read a model of 6 GB. A unit counts as started long before its server answers."""
_POLL_S = 0.5
_STRANGE = "not in the package"
_IMPORTED = f"{_STRANGE}, and Python would import it in place of a module: remove it"
_CODE = (".py", ".pyc", ".pyd", ".so", ".dll", ".dylib")
"""Endings of what Python imports from beside a script, and of what a library there is loaded as."""

Tell = Callable[[dict[str, Any]], None]
"""Told of each thing: {"kind": "file" | "note" | "anchor" | "case" | "sum" | "problem", ...}."""
Ask = Callable[[list[dict[str, str]], int], tuple[str, str]]
"""Answers messages within so many tokens: (text, finish reason)."""


class CannotCheckError(Exception):
    """The answer is unknown, which is not the same as bad."""


def check_files(directory: Path, tell: Tell) -> dict[str, str]:
    """Compare every file with SHA256SUMS; return what is wrong with which, nothing if all is well.

    A file that is not in the package is told as a note; it is wrong only where Python would import
    it, since the check itself and what it loads would then be another.

    Raises:
        CannotCheckError: There is no SHA256SUMS, or it cannot be read.
    """
    wanted = read_checksums(directory / CHECKSUMS)
    states = {name: _state(directory, name, sha256) for name, sha256 in sorted(wanted.items())}
    for name in _strange(directory, wanted):
        if _is_imported(directory, name):
            states[name] = _IMPORTED
        else:
            tell({"kind": "note", "text": f"{name}: {_STRANGE}"})
    for name, state in states.items():
        tell({"kind": "file", "path": name, "state": state})
    return {name: state for name, state in states.items() if state != "ok"}


def _strange(directory: Path, wanted: dict[str, str]) -> list[str]:
    """Return what lies there and is not in the package; of a directory its name and a slash."""
    ours = {"/".join(name.split("/")[:n]) for name in wanted for n in range(1, name.count("/") + 1)}
    try:
        found = set(_entries(directory, ours))
    except OSError as error:
        raise CannotCheckError(f"{error.filename} cannot be read: {error.strerror}") from error
    return sorted(found - {CHECKSUMS, *wanted, *ours, *(f"{name}/" for name in wanted)})


def _is_imported(directory: Path, name: str) -> bool:
    """Say whether Python, which looks beside a script first, would take a stray name for a module.

    A directory is one where it holds `__init__`; one that may not be read cannot be imported.
    """
    first, _, rest = name.partition("/")
    if rest:  # in a directory of the package's own
        return rest.startswith("__init__.") and rest.endswith(_CODE)
    path = directory / first
    if not path.is_dir():
        return first.endswith(_CODE)
    try:
        inside = os.listdir(path)
    except PermissionError:
        return False
    return any(each.startswith("__init__.") and each.endswith(_CODE) for each in inside)


def read_checksums(path: Path) -> dict[str, str]:
    """Read lines as `sha256sum` writes them; return the sum of each relative path.

    Raises:
        CannotCheckError: The file is missing or unreadable, a line is none, a name leaves the
            package or stands twice.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise CannotCheckError(f"{path.name} cannot be read: {reason}") from error
    wanted: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or not is_inside(match[2]) or match[2] in wanted:
            raise CannotCheckError(f"{path.name}:{number} is no line of sums: {line[:80]!r}")
        wanted[match[2]] = match[1]
    if not wanted:
        raise CannotCheckError(f"{path.name} names no file")
    return wanted


def is_inside(name: str) -> bool:
    """Say whether a name can only be that of a file below the package's directory."""
    parts = name.split("/")
    return (
        not name.startswith("/")
        and "\\" not in name
        and "\0" not in name
        and all(part not in ("", ".", "..") for part in parts)
    )


def _state(directory: Path, name: str, sha256: str) -> str:
    path = directory / name
    try:
        if _leaves(directory, name):
            return "is a link"
        if not stat.S_ISREG(path.lstat().st_mode):
            return "is no file"
        return "ok" if hash_of(path) == sha256 else "changed"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _leaves(directory: Path, name: str) -> bool:
    """Say whether a name, or a directory on its way, is a link: what it names is elsewhere."""
    parts = name.split("/")
    steps = (directory.joinpath(*parts[: n + 1]) for n in range(len(parts)))
    return any(step.is_symlink() for step in steps)


def hash_of(path: Path) -> str:
    """Return a file's sha256, read a block at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _entries(directory: Path, ours: set[str], prefix: str = "") -> Iterator[str]:
    """Yield the files below a directory; of a directory that is not one of ours only its name."""
    for entry in os.scandir(directory):
        name = prefix + entry.name
        if name in IGNORED:
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield name
        elif name in ours:
            yield from _entries(directory / entry.name, ours, f"{name}/")
        else:
            yield f"{name}/"


def check_anchors(directory: Path, ask: Ask, tell: Tell) -> bool:
    """Ask every anchor; return whether as many answers are right as must be.

    Raises:
        CannotCheckError: The anchors cannot be read, there are none, or nobody answers.
    """
    settings, anchors = read_anchors(directory), _anchors(directory)
    right = _ask_all(settings, anchors, "anchor", ask, tell)
    least = needed(settings.get("threshold", 1), len(anchors))
    tell({"kind": "sum", "text": f"{right} of {len(anchors)} anchors passed, {least} must"})
    return right >= least


def needed(threshold: float, total: int) -> int:
    """Return how many must pass, as `fathom health` counts: 0.9 of 20 is 18, 0.9 of 10 is 9."""
    return math.ceil(threshold * total - 1e-9)


def check_cases(directory: Path, ask: Ask, tell: Tell) -> bool:
    """Ask every evaluation case; return whether it is no worse than when it was delivered.

    Worse is a count below the low end of the 95 % interval of the count at delivery. Where only
    answers held to a grammar were counted then, no count here is comparable and none decides.

    Raises:
        CannotCheckError: The cases cannot be read, or nobody answers.
    """
    try:
        lines = (directory / CASES).read_text("utf-8").split("\n")
        cases = [json.loads(line) for line in lines if line]
        for case in cases:
            _require_case(case)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CannotCheckError(f"{CASES} cannot be read: {error}") from error
    settings = read_anchors(directory)
    right = _ask_all(settings, cases, "case", ask, tell)
    said, least = _at_delivery(settings.get("at_delivery"), len(cases))
    tell({"kind": "sum", "text": f"{right} of {len(cases)} cases right, {said}"})
    return right >= least


def _at_delivery(known: Any, total: int) -> tuple[str, int]:
    """Return what is known of the same cases at delivery, and how many must be right."""
    if not isinstance(known, dict) or known.get("total") != total:
        return "not counted at delivery", 0
    right = f"{known['right']} at delivery"
    if not known["free"]:
        return f"{right} when held to the grammar, which nothing here does", 0
    low, high = known["low"], known["high"]
    said = f"{right} (95 %: {low:.0%} to {high:.0%}), below {known['least']} is worse"
    return said, int(known["least"])


def read_anchors(directory: Path) -> dict[str, Any]:
    """Return the file anchors.json.

    Raises:
        CannotCheckError: It cannot be read or understood.
    """
    try:
        found = json.loads((directory / ANCHORS).read_text("utf-8"))
        if not isinstance(found, dict) or not isinstance(found.get("anchors"), list):
            raise TypeError("no object with a list of anchors")
        _require_texts(found, ("engagement", "system"))
        for name in ("max_new_tokens", "n_ctx"):
            if type(found.get(name)) is not int or not 0 < found[name] <= _MOST_TOKENS:
                raise TypeError(f"{name} is no number of tokens")
        contract = found.get("contract")
        _require_texts(contract if isinstance(contract, dict) else {}, ("kind",))
        for anchor in found["anchors"]:
            _require_case(anchor)
        _require_shares(found)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CannotCheckError(f"{ANCHORS} cannot be read: {error}") from error
    return found


def _require_case(case: Any) -> None:
    if not isinstance(case, dict):
        raise TypeError("an entry is no object")
    _require_texts(case, ("id", "input", "expected"))


def _require_texts(found: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        text = found.get(name)
        if not isinstance(text, str):
            raise TypeError(f"{name} is missing, or no text")
        text.encode()  # half a character could be neither sent nor printed


def _require_shares(found: dict[str, Any]) -> None:
    known = found.get("at_delivery")
    shares = [found.get("threshold", 1)]
    if isinstance(known, dict):
        shares += [known.get("low"), known.get("high")]
        if any(type(known.get(name)) is not int for name in ("right", "total", "least")):
            raise TypeError("at_delivery holds no counts")
        if type(known.get("free")) is not bool:
            raise TypeError("at_delivery does not say how it was answered")
    if any(type(share) not in (int, float) or not 0 <= share <= 1 for share in shares):
        raise TypeError("a share is no number from 0 to 1")


def _anchors(directory: Path) -> list[dict[str, Any]]:
    anchors = read_anchors(directory)["anchors"]
    if not anchors:
        raise CannotCheckError(f"{ANCHORS} holds no anchors")
    return list(anchors)


def _ask_all(
    settings: dict[str, Any], cases: list[dict[str, Any]], kind: str, ask: Ask, tell: Tell
) -> int:
    right = 0
    for case in cases:
        text, reason = ask(messages(settings["system"], case["input"]), settings["max_new_tokens"])
        passed = reason == "stop" and same(text, case["expected"], settings["contract"]["kind"])
        right += passed
        tell(
            {
                "kind": kind,
                "id": case["id"],
                "passed": passed,
                "expected": case["expected"],
                "actual": text,
                "finish_reason": reason,
            }
        )
    return right


def messages(system: str, text: str) -> list[dict[str, str]]:
    """Return the chat that asks about one input."""
    asked = {"role": "user", "content": text}
    return [{"role": "system", "content": system}, asked] if system else [asked]


def same(answer: str, expected: str, kind: str) -> bool:
    """Say whether an answer is the expected one: a label as text, JSON in any order and spacing."""
    blanks = " \t\n\r"
    if kind == "label":
        return answer.strip(blanks) == expected
    try:
        return bool(_strict(answer.strip(blanks)) == _strict(expected))
    except (ValueError, RecursionError):
        return False


def _strict(text: str) -> Any:
    """Read JSON in which no key stands twice; true is not 1, and there is no NaN."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = {name: _typed(value) for name, value in pairs}
        if len(found) < len(pairs):
            raise ValueError("a key stands twice")
        return found

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, object_pairs_hook=once, parse_constant=refuse)


def _typed(value: Any) -> Any:
    return ("bool", value) if isinstance(value, bool) else value


def by_file(directory: Path, threads: int | None) -> Ask:
    """Load the package's GGUF and return what asks it.

    Raises:
        CannotCheckError: llama-cpp-python is missing, or refuses the file.
    """
    try:
        import llama_cpp
    except ImportError as error:
        raise CannotCheckError(
            f"llama-cpp-python is not usable here ({error}); install it as usage.md says, or "
            "check a server: verify.py --url URL"
        ) from error
    settings = read_anchors(directory)
    path = model_file(directory)
    try:
        llama = llama_cpp.Llama(
            str(path),
            n_ctx=int(settings["n_ctx"]),
            n_threads=threads or cores(),
            verbose=False,
        )
    except (ValueError, RuntimeError, OSError) as error:
        raise CannotCheckError(f"llama.cpp refuses {path.name}: {error}") from error

    def ask(chat: list[dict[str, str]], limit: int) -> tuple[str, str]:
        try:
            answer = llama.create_chat_completion(chat, temperature=0.0, max_tokens=limit, seed=0)
        except (ValueError, RuntimeError) as error:
            raise CannotCheckError(f"llama.cpp cannot answer: {error}") from error
        choice = answer["choices"][0]
        return str(choice["message"]["content"] or ""), str(choice["finish_reason"])

    return ask


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def model_file(directory: Path) -> Path:
    """Return the package's GGUF: the only one in SHA256SUMS.

    Raises:
        CannotCheckError: There is none, or more than one.
    """
    names = [name for name in read_checksums(directory / CHECKSUMS) if name.endswith(".gguf")]
    if len(names) != 1:
        raise CannotCheckError(f"{CHECKSUMS} names {len(names)} GGUF files instead of one")
    return directory / names[0]


def by_url(url: str, model: str, *, wait_s: int = 0, tell: Tell = lambda found: None) -> Ask:
    """Return what asks an OpenAI-compatible server, straight and not through a proxy.

    Args:
        url: Its address, with or without the `/v1` that most servers want.
        model: What it calls the model.
        wait_s: Seconds from now in which it may still be starting.
        tell: Told when it is waited for, and when another address is the right one.
    """
    return _Server(url, model, wait_s, tell)


class _Server:
    """Asks a server, and finds it where it is starting or its address lacks `/v1`."""

    def __init__(self, url: str, model: str, wait_s: int, tell: Tell) -> None:
        self.base, self.model, self.tell = url.rstrip("/"), model, tell
        self.wait_s, self.until = wait_s, time.monotonic() + wait_s
        self.waited = self.answered = False
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __call__(self, chat: list[dict[str, str]], limit: int) -> tuple[str, str]:
        body = {
            "model": self.model, "messages": chat, "temperature": 0, "max_tokens": limit, "seed": 0,
        }  # fmt: skip
        while True:
            try:
                choice = self._post(json.dumps(body).encode())["choices"][0]
                self.answered = True
                return str(choice["message"]["content"] or ""), str(choice["finish_reason"])
            except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
                if not self._again(error):
                    raise CannotCheckError(
                        f"{self.base}/chat/completions did not answer: {error}"
                    ) from error

    def _post(self, body: bytes) -> Any:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get("OPENAI_API_KEY")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(f"{self.base}/chat/completions", body, headers)
        with self.opener.open(request, timeout=_TIMEOUT_S) as reply:
            return json.load(reply)

    def _again(self, error: Exception) -> bool:
        """Say whether to ask once more: only a server that has not answered yet is sought."""
        code = None
        if isinstance(error, urllib.error.HTTPError):
            code = error.code
            error.close()
        if self.answered:
            return False
        if code == 404 and not self.base.endswith("/v1"):
            self.base += "/v1"
            self.tell({"kind": "note", "text": f"the address lacks /v1: asking {self.base}"})
            return True
        refused = isinstance(getattr(error, "reason", None), ConnectionRefusedError)
        if not (refused or code == 503) or time.monotonic() >= self.until:
            return False
        if not self.waited:
            self.waited = True
            said = f"{self.base} does not answer yet: waiting up to {self.wait_s} s"
            self.tell({"kind": "note", "text": said})
        time.sleep(_POLL_S)
        return True


def check(arguments: argparse.Namespace, tell: Tell) -> int:
    """Do what was asked for and return the exit code; what is known to be wrong stays wrong."""
    directory, code = arguments.directory, GOOD
    try:
        wrong = {} if arguments.anchors_only else check_files(directory, tell)
        code = BAD if wrong else GOOD
        if arguments.checksums_only or not _may_ask(arguments, wrong, tell):
            return code
        ask = _asked(arguments, tell)
        if not check_anchors(directory, ask, tell):
            code = BAD
        if arguments.eval and not check_cases(directory, ask, tell):
            code = BAD
        return code
    except CannotCheckError as error:
        tell({"kind": "problem", "text": str(error)})
    except Exception as error:  # unknown is not bad, which the interpreter's own code 1 would say
        tell({"kind": "problem", "text": f"the check broke off: {error!a}"})
    return code or COULD_NOT_CHECK


def _may_ask(arguments: argparse.Namespace, wrong: dict[str, str], tell: Tell) -> bool:
    """Say whether the anchors can be asked: a model that is damaged is not loaded.

    Nor is llama.cpp where Python could take something else for a part of it.
    """
    if arguments.url or not wrong:
        return True
    model = model_file(arguments.directory).relative_to(arguments.directory).as_posix()
    unsafe = model in wrong or _IMPORTED in wrong.values()
    if unsafe:
        said = "no anchor was asked: the model is not loaded beside what is wrong here"
        tell({"kind": "note", "text": said})
    return not unsafe


def _asked(arguments: argparse.Namespace, tell: Tell) -> Ask:
    if not arguments.url:
        return by_file(arguments.directory, arguments.threads)
    model = arguments.model or str(read_anchors(arguments.directory)["engagement"])
    return by_url(arguments.url, model, wait_s=arguments.wait, tell=tell)


class Person:
    """Tells a person line by line, and at the end what it comes to."""

    def __init__(self) -> None:
        self.files = {True: 0, False: 0}
        self.sums: list[str] = []

    def __call__(self, found: dict[str, Any]) -> None:
        """Print one finding; right evaluation cases are only counted."""
        kind = found["kind"]
        if kind == "problem":
            print(f"could not check: {printable(found['text'])}")
        elif kind == "note":
            print(f"note  {printable(found['text'])}", flush=True)
        elif kind == "sum":
            self.sums.append(printable(found["text"]))
        elif kind == "file":
            self._file(found)
        else:
            self._answer(found)

    def _file(self, found: dict[str, Any]) -> None:
        good = found["state"] == "ok"
        self.files[good] += 1
        print(f"{'ok  ' if good else 'FAIL'}  {printable(found['path'])}"
              + ("" if good else f": {printable(found['state'])}"))  # fmt: skip

    def _answer(self, found: dict[str, Any]) -> None:
        kind, good = found["kind"], bool(found["passed"])
        if kind == "anchor" or not good:
            print(f"{'pass' if good else 'miss'}  {kind} {printable(found['id'])}")
        if not good:
            print(f"      expected {printable(found['expected'])}")
            print(f"      answered {printable(found['actual'])} ({found['finish_reason']})")

    def end(self, code: int) -> None:
        """Print the sums."""
        if any(self.files.values()):
            print(f"{self.files[True]} of {sum(self.files.values())} files right")
        for text in self.sums:
            print(text)
        print({GOOD: "PASS", BAD: "FAIL"}.get(code, "COULD NOT CHECK"))


def printable(text: object) -> str:
    """Return text that cannot move a terminal's cursor or change its colours."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", str(text))


def in_child(arguments: list[str]) -> int:
    """Do the work in a process of its own: on some broken files llama.cpp ends the process."""
    environment = {**PATIENT, **os.environ, "GGML_NO_BACKTRACE": "1"}
    command = [sys.executable, os.path.abspath(__file__), *arguments, "--here"]
    done = subprocess.run(command, env=environment, check=False)
    if done.returncode in (GOOD, BAD, COULD_NOT_CHECK):
        return done.returncode
    print(f"could not check: the process that loaded the model ended with {done.returncode}")
    return COULD_NOT_CHECK


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(description="Check a delivered package.")
    made.add_argument("directory", nargs="?", type=Path, default=Path(__file__).absolute().parent)
    made.add_argument("--url", help="ask this OpenAI-compatible server instead of the file")
    made.add_argument("--model", help="what that server calls the model")
    made.add_argument(
        "--wait", type=int, default=_START_S, metavar="SECONDS",
        help=f"how long that server may still be starting ({_START_S})",
    )  # fmt: skip
    made.add_argument("--threads", type=int, help="CPU threads; all cores unless given")
    made.add_argument("--checksums-only", action="store_true", help="load nothing")
    made.add_argument("--anchors-only", action="store_true", help="read no file but the model's")
    made.add_argument("--eval", action="store_true", help="also ask every evaluation case: minutes")
    made.add_argument("--lines", action="store_true", help="print each finding as a line of JSON")
    made.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return made


def main(given: list[str]) -> int:
    """Check and return the exit code."""
    arguments = parser().parse_args(given)
    if not (arguments.here or arguments.checksums_only or arguments.url):
        return in_child(given)
    if arguments.lines:
        return check(arguments, lambda found: print(json.dumps(found), flush=True))
    person = Person()
    code = check(arguments, person)
    person.end(code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
