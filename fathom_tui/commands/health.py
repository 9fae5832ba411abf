"""`fathom health`: ask the anchors of what is served, and say how it is."""

import argparse
import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fathom_tui.commands.output import narrate, print_json, printable
from fathom_tui.errors import EnvironmentProblem, FathomError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fathom_tui.runner.checked import Checked, Wanted
    from fathom_tui.store.paths import Home

EPILOG = """\
exit codes (as monitoring plugins have them, also for a request that makes no sense):
  0 ok    1 warning    2 critical    3 unknown: nothing deployed, no answer, no anchors

--json prints a list:
  [{"engagement", "deployment", "state", "anchors": {"passed", "total"}, "threshold",
    "checked_at", "reasons", "notes", "latency_s", "seconds", "failures", "drift"}]

Without ENGAGEMENT every engagement that serves something is checked; the worst state counts.
critical: fewer anchors pass than the threshold asks for
warning:  more than 3 points fewer pass than at first, or answers take twice as long, in two
          checks in a row; an answer repeats itself; answers grew longer or shorter; inputs
          drifted; the server has another version live than the ledger
An alert is sent when the state changes, and when all is well again. The command finds it as JSON
on stdin and in FATHOM_ENGAGEMENT, FATHOM_DEPLOYMENT, FATHOM_STATE, FATHOM_BEFORE,
FATHOM_RECOVERED, FATHOM_REASONS and FATHOM_CHECKED_AT; the webhook gets the JSON as a POST.

examples:
  fathom health
  fathom health acme-triage --inputs yesterday.jsonl
  fathom health acme-triage --on-alert 'mail -s fathom ops@example.org' --keep
  fathom health --nagios
  fathom health --textfile /var/lib/node_exporter/textfile/fathom.prom
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is checked, how it is said and who is told."""
    parser.epilog = EPILOG
    parser.add_argument("engagement", metavar="ENGAGEMENT", nargs="?", help="only this one")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one line of JSON on stdout")
    form.add_argument("--prometheus", action="store_true", help="print metrics for Prometheus")
    form.add_argument("--nagios", action="store_true", help="print what a monitoring plugin prints")
    parser.add_argument(
        "--inputs", metavar="FILE", type=Path, help="recent inputs: have they drifted"
    )
    parser.add_argument("--threshold", metavar="SHARE", help="share of anchors that must pass")
    parser.add_argument("--textfile", metavar="PATH", type=Path, help="write the metrics there too")
    parser.add_argument("--no-record", action="store_true", help="look only: no record, no alert")
    parser.add_argument(
        "--on-alert", metavar="COMMAND", help="run it, without a shell, on an alert"
    )
    parser.add_argument("--webhook", metavar="URL", help="post alerts there as JSON")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="use --on-alert and --webhook in later checks too; '' takes one away",
    )


def run(arguments: argparse.Namespace) -> int:
    """Check, print and return the worst state's exit code."""
    from fathom_tui.health import HealthState

    try:
        return _run(arguments)
    except FathomError as error:
        # Any other code would be read as a state: 2 is critical.
        if arguments.nagios:
            print(f"FATHOM UNKNOWN - {printable(error.message)}")
        narrate(f"error: {error.message}")
        narrate(f"  fix: {error.fix}")
        return HealthState.UNKNOWN.exit_code


def _run(arguments: argparse.Namespace) -> int:
    from fathom_tui.commands.health_text import overall
    from fathom_tui.store.paths import Home

    home = Home.from_env()
    if arguments.textfile is not None:
        _require_place(arguments.textfile)
    wanted = _wanted(arguments, home)
    if arguments.keep:
        _keep(home, arguments)
    checks = [_checked(home, slug, wanted) for slug in _slugs(home, arguments.engagement)]
    _print(checks, arguments)
    if arguments.textfile is not None:
        _write(arguments.textfile, checks)
    return overall(checks).exit_code


def _wanted(arguments: argparse.Namespace, home: "Home") -> "Wanted":
    """Read the options.

    Raises:
        UsageError: One makes no sense, alone or beside another.
    """
    from fathom_tui.runner.checked import Wanted
    from fathom_tui.runner.hooks import Hooks

    hooks = Hooks(command=arguments.on_alert or None, webhook=arguments.webhook or None)
    _ = hooks.names  # refused now, not at night
    hooks.require_program()
    if arguments.no_record and (arguments.on_alert or arguments.webhook or arguments.keep):
        raise UsageError(
            "--no-record only looks, so it can tell nobody.",
            fix="Leave out --no-record, or --on-alert, --webhook and --keep.",
        )
    alone = [name for name in ("inputs", "keep") if getattr(arguments, name)]
    if alone and arguments.engagement is None:
        raise UsageError(
            f"--{alone[0]} belongs to one engagement.", fix="fathom health ENGAGEMENT ..."
        )
    return Wanted(
        threshold=_threshold(arguments.threshold),
        inputs=_inputs(arguments, home),
        record=not arguments.no_record,
        hooks=hooks,
    )


def _threshold(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"--threshold is {text!r}.", fix="Give a share from 0 to 1, such as 0.9.")
    return share


def _inputs(arguments: argparse.Namespace, home: "Home") -> tuple[str, ...] | None:
    if arguments.inputs is None:
        return None
    from fathom_tui.datasets.inputs import read_inputs
    from fathom_tui.store.live import watched

    column = watched(home, arguments.engagement).config.get("input")
    return tuple(read_inputs(arguments.inputs, str(column) if column else None))


def _keep(home: "Home", arguments: argparse.Namespace) -> None:
    """Record the hooks for later checks; an empty one is taken away."""
    from fathom_tui.store.ledger import Store

    given = {"alert_command": arguments.on_alert, "alert_webhook": arguments.webhook}
    if all(value is None for value in given.values()):
        raise UsageError("--keep has nothing to keep.", fix="Give --on-alert or --webhook as well.")
    for key, value in given.items():
        if value is not None:
            Store(home).record(arguments.engagement, "fact", {"key": key, "value": value})
            what = key.removeprefix("alert_")
            narrate(f"Kept for later checks: the {what}." if value else f"Taken away: the {what}.")


def _slugs(home: "Home", named: str | None) -> list[str]:
    """Return what is to be checked: the one named, else all that serve or ought to."""
    from fathom_tui.store.live import slugs

    return [named] if named is not None else [slug for slug in slugs(home) if _serves(home, slug)]


def _serves(home: "Home", slug: str) -> bool:
    from fathom_tui.deployment import DeploymentState
    from fathom_tui.store.live import watched

    try:
        known = watched(home, slug)
    except Exception:  # a damaged journal is not passed over: its check says what is wrong
        return True
    intended = (DeploymentState.STOPPED, DeploymentState.REMOVED, DeploymentState.CREATED)
    last = known.deployments[-1]["state"] if known.deployments else DeploymentState.CREATED
    return known.live is not None or last not in intended


def _checked(home: "Home", slug: str, wanted: "Wanted") -> "Checked":
    """Check one engagement; what keeps it from being checked must not hide the others."""
    from fathom_tui.health import HealthState
    from fathom_tui.runner.checked import Checked
    from fathom_tui.runner.health import check
    from fathom_tui.store.journal import utc_now

    try:
        return check(home, slug, wanted)
    except Exception as error:  # also one that nobody foresaw, as of a file made by hand
        return Checked(
            engagement=slug,
            deployment=None,
            run=None,
            state=HealthState.UNKNOWN,
            passed=None,
            total=None,
            threshold=wanted.threshold,
            checked_at=utc_now(),
            reasons=(_why(error),),
        )


def _why(error: Exception) -> str:
    if isinstance(error, FathomError):
        return f"{error.message} {error.fix}".strip()
    return f"The check broke off unexpectedly: {error!r}. fathom store check may say why."


def _print(checks: "Sequence[Checked]", arguments: argparse.Namespace) -> None:
    from fathom_tui.commands import health_text

    if arguments.json:
        print_json([check.to_json() for check in checks])
    elif arguments.nagios:
        print(health_text.nagios(checks))
    elif arguments.prometheus:
        sys.stdout.write(health_text.prometheus(checks, time.time()))
    else:
        for check in checks:
            print("\n".join(health_text.lines(check)))
    if not checks and not arguments.nagios:
        narrate(health_text.NOTHING)


def _require_place(path: Path) -> None:
    """Refuse a name that cannot be a file's, before anything is asked.

    Raises:
        UsageError: It is none, or stands for a directory, a device or a pipe.
        EnvironmentProblem: Nobody can look at it.
    """
    try:
        regular = path.name not in ("", "..") and stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return
    except OSError as error:
        raise EnvironmentProblem(
            f"The metrics cannot be written to {str(path)[:80]!r}: {error.strerror}.",
            fix="Name a file in the collector's folder, such as fathom.prom.",
        ) from error
    if not regular:
        raise UsageError(
            f"--textfile is {str(path)!r}, which is no regular file.",
            fix="Name a file in the collector's folder, such as fathom.prom.",
        )


def _write(path: Path, checks: "Sequence[Checked]") -> None:
    """Write the metrics beside their place and rename them: a collector never reads half of them.

    Raises:
        EnvironmentProblem: The folder is missing, or cannot be written to.
    """
    from fathom_tui.commands.health_text import prometheus

    draft = path.with_name(f".fathom.{os.getpid()}")  # not longer than a name may be
    try:
        draft.write_text(prometheus(checks, time.time()), "utf-8")
        draft.chmod(0o644)  # the collector is another user
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):  # where it could not be made either
            draft.unlink()
        raise EnvironmentProblem(
            f"The metrics cannot be written to {path}: {error.strerror}.",
            fix="Name a file in the collector's folder; it must be there and writable.",
        ) from error
