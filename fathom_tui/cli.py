"""The command `fathom`: a table of verbs, of which only the one that was named is imported.

Nothing heavy may be imported here: `fathom --help` answers within 80 ms.
"""

import argparse
import errno
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, NoReturn, Protocol, cast

from fathom_tui import __version__
from fathom_tui.errors import EnvironmentProblem, ExitCode, FathomError, UsageError

_OF_THE_MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EIO, errno.ENOTDIR, errno.EMFILE, errno.ENFILE),
}
"""Errors that say something of this machine and nothing of Fathom."""

BROKEN_PIPE = 141
"""128 + SIGPIPE: what a shell shows for any program whose reader went away."""


class Verb(NamedTuple):
    """One command; its code is in `fathom_tui.commands.<name>`."""

    name: str
    about: str


VERBS = (
    Verb("demo", "take the demo dataset to a served, healthy model, end to end"),
    Verb("advise", "cloud, hybrid or local for a workload, why, and what would change it"),
    Verb("cost", "when a machine of your own has paid for itself, against any API"),
    Verb("payback", "fine-tuning, rent or buy, build or buy: when it has paid for itself"),
    Verb("fit", "what memory a model needs to answer and to be trained, and on which device"),
    Verb("catalog", "list GPUs, models, prices, tasks, quantisations, assumptions, errata"),
    Verb("report", "write the memo, the email or the audit summary of an engagement"),
    Verb("engagement", "create, list and show engagements: a dataset and what it is for"),
    Verb("run", "run an engagement's stages, from preflight to anchors"),
    Verb("runs", "list runs with the state of their stages, or show one"),
    Verb("logs", "read a run's journal, or follow it"),
    Verb("cancel", "ask the agent to stop a run"),
    Verb("resume", "go on with a run at its first unfinished stage"),
    Verb("waive", "lift a refused gate, with a name and a reason"),
    Verb("deploy", "serve the file a run accepted: create, prove by anchors, activate"),
    Verb("rollback", "make the version before, or a named one, live again"),
    Verb("versions", "list an engagement's versions beside what the server says; remove old ones"),
    Verb("health", "ask the anchors of what is served: ok, warning, critical or unknown"),
    Verb("feedback", "record what people say of a served model's answers"),
    Verb("package", "write the delivery package of an engagement, or verify one"),
    Verb("quantize", "measure the quantisation ladder: size, quality, speed"),
    Verb("serve", "start, look at or stop the local server of an engagement's model"),
    Verb("runner", "start, stop or look at the agent that works through the runs"),
    Verb("store", "check, rebuild or export the ledger"),
    Verb("doctor", "say what this machine has and lacks, each with its fix"),
    Verb("tui", "open the screens (so does `fathom` alone, in a terminal)"),
)

EPILOG = """\
commands (fathom COMMAND --help says more):
{verbs}

exit codes:
  0 done    1 a gate refused, or worse than asked    2 usage    3 could not check
  4 environment    5 store locked, newer or corrupt    130/143 interrupted

environment:
  FATHOM_HOME     one directory for data, config, state and cache (default: the XDG ones)
  FATHOM_DEBUG=1  show the traceback of an unexpected error"""


class _Command(Protocol):
    """What a module in `fathom_tui.commands` offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, arguments: argparse.Namespace) -> int: ...


class _Parser(argparse.ArgumentParser):
    """An argument parser that complains in Fathom's own form."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", fix=f"{self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        # Python would find a closed pipe only while shutting down, and say so on stderr.
        _flush()
        super().exit(status, message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are printed, never raised."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _never_fail_to_print()
    try:
        code = _dispatch(given)
        _flush()
    except FathomError as error:
        code = _failed(given, _complain(error))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        code = ExitCode.INTERRUPTED
    except Exception as error:
        code = _failed(given, _unexpected(error, given))
    return int(code)


def _failed(given: list[str], code: int) -> int:
    """Return the exit code of an error; for `health` it means that nothing is known.

    A monitor reads 1 as warning and 2 as critical (monitoring-plugins guidelines: 3 also for
    arguments that make no sense).
    """
    return ExitCode.COULD_NOT_CHECK if given[:1] == ["health"] and code != BROKEN_PIPE else code


def _dispatch(given: list[str]) -> int:
    if not given:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            _parser().print_help(sys.stderr)
            return ExitCode.USAGE
        given = ["tui"]
    verb = None if given[0].startswith("-") else given[0]
    if verb is not None and verb not in {known.name for known in VERBS}:
        raise _unknown(verb)
    command = cast(_Command, import_module(f"fathom_tui.commands.{verb}")) if verb else None
    namespace, unknown = _parser(verb, command).parse_known_args(_joined(given))
    if unknown:
        fix = f"fathom {verb} --help" if command else "fathom --help"
        raise UsageError(f"Unrecognized arguments: {' '.join(unknown)[:80]}.", fix=fix)
    if command is None:
        raise UsageError("No command was given.", fix="fathom --help")
    return command.run(namespace)


def _joined(given: list[str]) -> list[str]:
    """Join an option to a value that begins with a minus, which argparse takes for an option."""
    found: list[str] = []
    for text in given:
        if found and found[-1][:2] == "--" and "=" not in found[-1] and _NEGATIVE.match(text):
            found[-1] = f"{found[-1]}={text}"
        else:
            found.append(text)
    return found


_NEGATIVE = re.compile(r"-[0-9.][0-9.,_eE]*[kKmMbBgG%]?$", re.ASCII)


def _parser(verb: str | None = None, command: _Command | None = None) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fathom",
        usage="fathom [--help] [--version] [COMMAND ...]",
        description="From a dataset to a local model you own, with the evidence for every step.",
        epilog=EPILOG.format(verbs="\n".join(f"  {v.name:<11} {v.about}" for v in VERBS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fathom {__version__}")
    verbs = parser.add_subparsers(
        prog="fathom", metavar="COMMAND", dest="verb", help=argparse.SUPPRESS
    )
    for known in VERBS:
        child = verbs.add_parser(
            known.name,
            description=f"{known.about[:1].upper()}{known.about[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if command is not None and known.name == verb:
            command.add_arguments(child)
    return parser


def _unknown(verb: str) -> UsageError:
    from difflib import get_close_matches

    close = get_close_matches(verb, [known.name for known in VERBS], n=1)
    return UsageError(
        f"There is no command {verb[:80]!r}.",
        fix=f"Did you mean: fathom {close[0]}" if close else "fathom --help lists the commands.",
    )


def _complain(error: FathomError) -> int:
    from fathom_tui.commands.output import printable

    print(f"error: {printable(error.message)}", file=sys.stderr)
    if error.fix:
        print(f"  fix: {printable(error.fix)}", file=sys.stderr)
    return error.exit_code


def _unexpected(error: Exception, given: list[str]) -> int:
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        return BROKEN_PIPE
    if os.environ.get("FATHOM_DEBUG") == "1":
        raise error
    if isinstance(error, ModuleNotFoundError) and not _is_ours(error.name):
        return _complain(
            EnvironmentProblem(
                f"The Python package {error.name!r} is not installed.",
                fix="fathom doctor says which set of packages it belongs to.",
            )
        )
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(
            EnvironmentProblem(
                f"{where}{error.strerror}.",
                fix="Free space and rights where FATHOM_HOME and the output are: df -h",
            )
        )
    from fathom_tui.commands.crash import record

    return _complain(FathomError(f"Unexpected {type(error).__name__}: {error}", fix=record(given)))


def _is_ours(module: str | None) -> bool:
    return (module or "").split(".")[0] == "fathom_tui"


def _never_fail_to_print() -> None:
    # A terminal that knows no "é" shows "?", rather than ending the command half-way.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _flush() -> None:
    # stdout is None when the caller closed it; there is nothing to flush then.
    if sys.stdout is not None:
        sys.stdout.flush()


def _reader_is_gone() -> bool:
    """Say whether stdout itself is the broken pipe; if so, let Python shut down quietly."""
    from select import poll

    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or no real file
        return False
    pipe = poll()
    pipe.register(descriptor, 0)  # errors are always reported
    if not pipe.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    return True
