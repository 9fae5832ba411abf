"""`fathom package`: write a delivery package, or check one where it was received."""

import argparse
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.ledger import ledger
from fathom_tui.commands.output import add_json_flag, console, narrate, print_json, printable
from fathom_tui.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fathom_tui.checklist import Item
    from fathom_tui.package import Delivery
    from fathom_tui.runner.package import Built

EPILOG = """\
examples:
  fathom package acme-triage --to deliveries
  fathom package acme-triage --checklist
  fathom package verify acme-triage-classification-qwen2.5-0.5b-v3.tar.zst

The package is a directory and, unless --no-archive is given, the same as one .tar.zst. It holds
everything that a machine with nothing but Python needs, no training data, and the test messages.
The archive is unpacked by: tar --zstd -xf NAME.tar.zst, which needs the program zstd.
Without --run it is the live version's run, else the newest one whose gates passed or were waived.
One that is there already is written anew, unless something of somebody else's lies in it.

verify ends with 0 when every file is right and enough anchors pass, 1 when not, 3 when it could
not check (llama-cpp-python is missing, or crashed on the file), 4 when this machine is in the way.
A file that is not in the package is named and changes nothing, unless Python would import it.

--json prints one object. Of a package: {"package", "directory", "archive", "run", "version",
"model", "bytes", "files", "sums_sha256", "archive_sha256", "notes", "checklist"}; of --checklist:
a list of {"section", "text", "done", "evidence", "how"}; of verify: {"package", "passed",
"files": [{"path", "state"}], "notes": [text], "anchors": [{"id", "passed", "expected",
"actual", "finish_reason"}], "problems": [text]}.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to pack, or what to check."""
    parser.usage = (
        "fathom package ENGAGEMENT [--run RUN] [--to DIR] [--no-archive] [--checklist] [--json]\n"
        "       fathom package verify DIR|FILE.tar.zst [--checksums-only] [--json]"
    )
    parser.epilog = EPILOG
    parser.add_argument("engagement", metavar="ENGAGEMENT", help="its short name, or: verify")
    parser.add_argument("path", nargs="?", type=Path, help="after verify: directory or .tar.zst")
    parser.add_argument("--run", dest="run_id", metavar="RUN", help="whose file is packed")
    parser.add_argument("--to", type=Path, metavar="DIR", help="where to write it (here)")
    parser.add_argument("--no-archive", action="store_true", help="write the directory alone")
    parser.add_argument("--checklist", action="store_true", help="print the checklist, no package")
    parser.add_argument("--checksums-only", action="store_true", help="verify: load no model")
    parser.add_argument("--threads", type=int, metavar="N", help="verify: CPU threads (all)")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Pack, print the checklist, or check."""
    if arguments.path is not None and arguments.engagement != "verify":
        raise UsageError(
            f"What is {str(arguments.path)[:80]!r} for?",
            fix=f"fathom package {arguments.engagement}, or: fathom package verify DIR",
        )
    if arguments.engagement == "verify" and (arguments.path is not None or _is_no_engagement()):
        return _verify(arguments)
    if arguments.checksums_only or arguments.threads is not None:
        raise UsageError(
            "--checksums-only and --threads go with verify.",
            fix="fathom package verify DIR --checksums-only",
        )
    return _pack(arguments)


def _is_no_engagement() -> bool:
    """Say whether no engagement is called `verify`."""
    from fathom_tui.store import Home

    return not Home.from_env().engagement_journal("verify").exists()


def _pack(arguments: argparse.Namespace) -> int:
    from fathom_tui.runner.delivery import choose_run, gather
    from fathom_tui.runner.package import build

    with ledger() as store:
        slug = store.engagement(arguments.engagement).slug
        delivery = gather(store, slug, arguments.run_id or choose_run(store, slug))
        if arguments.checklist:
            return _print_checklist(delivery, as_json=arguments.json)
        to = arguments.to or Path()
        _require_directory(to)
        narrate(f"Packing {delivery.gguf} of {delivery.view.id} ({_megabytes(delivery.bytes)}) ...")
        built = build(delivery, store.home, to, archive=not arguments.no_archive)
        said = f"{delivery.name} of {delivery.view.id}, SHA256SUMS {built.sums_sha256}"
        store.record(slug, "fact", {"key": "package", "value": said})
    if arguments.json:
        print_json(_to_json(delivery, built))
    _say(delivery, built)
    return ExitCode.DONE


def _require_directory(to: Path) -> None:
    try:
        found = stat.S_ISDIR(to.stat().st_mode)
    except FileNotFoundError:
        found = False
    except OSError as error:
        raise UsageError(
            f"--to is {str(to)[:80]!r}, which can be no directory: {error.strerror}.",
            fix="Name a directory that is there.",
        ) from error
    if not found:
        raise UsageError(f"There is no directory {to}.", fix=f"mkdir -p {to}")


def _print_checklist(delivery: "Delivery", *, as_json: bool) -> int:
    from fathom_tui.checklist import checklist

    items = checklist(delivery)
    if as_json:
        print_json([item.to_json() for item in items])
    else:
        _show(items)
    return ExitCode.DONE


def _show(items: "Sequence[Item]") -> None:
    out = console()
    for section in dict.fromkeys(item.section for item in items):
        out.print(section)
        for item in items:
            if item.section == section:
                mark, rest = ("✓", item.evidence) if item.done else ("·", item.how)
                out.print(printable(f"  {mark} {item.text}"))
                out.print(printable(f"      {rest}"), soft_wrap=True)


def _to_json(delivery: "Delivery", built: "Built") -> dict[str, Any]:
    return {
        "package": delivery.name,
        "directory": str(built.directory),
        "archive": str(built.archive) if built.archive else None,
        "run": delivery.view.id,
        "version": delivery.version,
        "model": delivery.gguf,
        "bytes": sum(entry.bytes for entry in built.entries),
        "files": [entry.path for entry in built.entries],
        "sums_sha256": built.sums_sha256,
        "archive_sha256": built.archive_sha256,
        "notes": list(built.notes),
        "checklist": [item.to_json() for item in built.items],
    }


def _say(delivery: "Delivery", built: "Built") -> None:
    done = sum(item.done for item in built.items)
    narrate(f"Package:    {built.directory} ({len(built.entries) + 1} files)")
    narrate(f"SHA256SUMS: {built.sums_sha256}")
    if built.archive is not None:
        narrate(f"Archive:    {built.archive} ({_megabytes(built.archive.stat().st_size)})")
        narrate(f"its sha256: {built.archive_sha256}")
        narrate(
            f"to unpack:  tar --zstd -xf {built.archive.name} (needs the program zstd; without it "
            "copy the directory)"
        )
    narrate(f"Checklist:  {done} of {len(built.items)} verified; the rest is in checklist.md")
    for note in built.notes:
        narrate(f"note: {note}")
    narrate(
        f"It holds {len(delivery.cases)} test messages and {len(delivery.anchors.anchors)} anchors "
        "of the client's data, and no training rows. Tell the receiver the sum in another way than "
        "you send the files."
    )
    narrate(f"Check it as they will: fathom package verify {built.archive or built.directory}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _verify(arguments: argparse.Namespace) -> int:
    from fathom_tui.runner.package_check import check

    if arguments.path is None:
        raise UsageError("What is to be verified?", fix="fathom package verify DIR|FILE.tar.zst")
    refused = [
        flag
        for flag, given in (
            ("--run", arguments.run_id),
            ("--to", arguments.to),
            ("--no-archive", arguments.no_archive),
            ("--checklist", arguments.checklist),
        )
        if given
    ]
    if refused:
        raise UsageError(f"{refused[0]} does not go with verify.", fix="Leave it out.")
    tell = (lambda found: None) if arguments.json else _tell
    found = check(
        arguments.path, tell, checksums_only=arguments.checksums_only, threads=arguments.threads
    )
    if arguments.json:
        print_json(found.to_json())
    else:
        narrate(found.summary())
    return found.exit_code


def _tell(found: dict[str, Any]) -> None:
    """Print one finding on stdout; a right file says nothing."""
    kind = found["kind"]
    if kind == "file" and found["state"] != "ok":
        print(printable(f"FAIL  {found['path']}: {found['state']}"))
    elif kind == "problem":
        print(printable(f"could not check: {found['text']}"))
    elif kind == "note":
        print(printable(f"note  {found['text']}"))
    elif kind == "anchor":
        print(printable(f"{'pass' if found['passed'] else 'miss'}  anchor {found['id']}"))
        if not found["passed"]:
            print(printable(f"      expected {found['expected']}"))
            print(printable(f"      answered {found['actual']} ({found['finish_reason']})"))
    sys.stdout.flush()
