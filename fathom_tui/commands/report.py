"""`fathom report`: the memo, the email paragraph and the audit summary of an engagement."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.assumptions import (
    add_setting_flags,
    chosen_currency,
    make_setting,
    read_catalog,
)
from fathom_tui.commands.ledger import ledger
from fathom_tui.commands.output import add_json_flag, narrate, print_json
from fathom_tui.errors import EnvironmentProblem, ExitCode, UsageError
from fathom_tui.store import Store

if TYPE_CHECKING:
    from fathom_tui.reports.audit import Evidence, Trial
    from fathom_tui.reports.document import Document, Note
    from fathom_tui.reports.subject import Subject

EPILOG = """\
examples:
  fathom report memo acme-triage --format pdf --out memo.pdf
  fathom report email acme-triage
  fathom report audit acme-triage --format html --out audit.html --snapshot current

The engagement is made by: fathom engagement create NAME --advice-only (or with data, to run it);
its workloads are those kept by: fathom advise --tokens-per-day 2M --engagement ENGAGEMENT
The format follows the name of --out (.md, .html, .pdf) unless --format is given.
With --out and Markdown the charts are written beside the file, as SVG; a file of that name which
is no chart of this program is left alone, and nothing is written. A link is followed. What goes
to a device, a pipe or stdout has no charts beside it; in HTML they are in the page.
A workload keeps no flags: give --gpu, --against and --assume here as well.

--json prints one object:
  {"report": "memo|email|audit", "engagement", "date", "format", "file": path or null,
   "files": [every file written],
   "text": the report, or null where it went to a file,
   "footnotes": [{"number", "text", "kind", "source", "as_of"}],
   "workloads": [what `fathom advise --json` prints, ...]}
"""
FORMATS = {
    "memo": ("md", "html", "pdf"),
    "email": ("md", "html"),
    "audit": ("md", "html", "pdf"),
}
_ABOUT = {
    "memo": "one page: situation, three options, recommendation, risk",
    "email": "one paragraph",
    "audit": "every verdict, assumption, run and waiver",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three reports."""
    parser.epilog = EPILOG
    kinds = parser.add_subparsers(dest="report", required=True, metavar="REPORT")
    for kind, formats in FORMATS.items():
        child = kinds.add_parser(kind, help=_ABOUT[kind], allow_abbrev=False)
        child.add_argument("engagement", metavar="ENGAGEMENT", help="its short name")
        child.add_argument(
            "--format", choices=formats, help="what --out's name says, else md, unless given"
        )
        child.add_argument("--out", metavar="FILE", help="write there; - is stdout (the default)")
        add_setting_flags(child)
        add_json_flag(child)


def run(arguments: argparse.Namespace) -> int:
    """Gather what the ledger has, write the report, and say where it is."""
    _settle_output(arguments)
    with ledger() as store:
        subject = _subject(store, arguments)
        document = _document(store, subject, arguments)
    text = None if arguments.out else _rendered(document, subject, arguments)
    written = _write(document, subject, arguments) if arguments.out else []
    for path in written:
        narrate(f"Written: {path}")
    if arguments.json:
        print_json(_to_json(document, subject, arguments, text, written))
    elif text is not None:
        print(text, end="")
    return ExitCode.DONE


_SUFFIXES = {
    ".md": "md",
    ".markdown": "md",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".svg": "svg",
}
"""What the end of a file's name says of its format."""


def _settle_output(arguments: argparse.Namespace) -> None:
    """Give `format` and `out` what the other and the report say, and refuse what cannot be.

    Raises:
        UsageError: The name is empty, says another format, or is no place to write to.
    """
    if arguments.out is not None and not arguments.out.strip():
        raise UsageError("--out is empty.", fix=f"--out {_example(arguments)}, or leave it out.")
    arguments.out = None if arguments.out in (None, "-") else Path(arguments.out)
    said = _SUFFIXES.get(arguments.out.suffix.lower()) if arguments.out else None
    if said == "svg":
        raise UsageError(
            f"{arguments.out} is where a chart of the report would go.",
            fix=f"Name it {arguments.out.with_suffix('.md')}: the charts are written beside it.",
        )
    formats = FORMATS[arguments.report]
    if said and said != (arguments.format or said):
        raise UsageError(
            f"--format {arguments.format} goes into a file named {arguments.out.name!r}.",
            fix=f"Leave --format out, or name it "
            f"{arguments.out.with_suffix(f'.{arguments.format}')}",
        )
    if said and said not in formats:
        raise UsageError(
            f"The {arguments.report} is not written as {said}.",
            fix=f"Name a file that ends in .{' or .'.join(formats)}",
        )
    arguments.format = arguments.format or said or "md"
    _check_place(arguments)


def _example(arguments: argparse.Namespace) -> str:
    return f"{arguments.engagement}-{arguments.report}.{arguments.format or 'md'}"


def _check_place(arguments: argparse.Namespace) -> None:
    if arguments.out is None:
        if arguments.format == "pdf":
            raise UsageError(
                "A PDF goes to a file, and none was named.", fix=f"Add --out {_example(arguments)}"
            )
        return
    if not arguments.out.absolute().parent.is_dir():
        raise UsageError(
            f"There is no directory {arguments.out.absolute().parent}.", fix="Make it first."
        )
    if arguments.out.is_dir():
        raise UsageError(f"{arguments.out} is a directory.", fix="Name a file in it.")


def _subject(store: Store, arguments: argparse.Namespace) -> "Subject":
    from dataclasses import replace
    from datetime import UTC, datetime

    from fathom_tui.advice import advise
    from fathom_tui.reports.subject import Subject, check_subject, used_assumptions
    from fathom_tui.store.workloads import workloads

    row = store.engagement(arguments.engagement)
    catalog = read_catalog(arguments)
    kept = workloads(store, row.slug)
    # The report itself says that prices are old, in words for its reader: today stays out of it.
    settings = [
        replace(make_setting(arguments, catalog, input_share=each.input_share), today=None)
        for each in kept
    ]
    advices = tuple(advise(each, setting) for each, setting in zip(kept, settings, strict=True))
    check_subject(advices, row.slug)
    date = datetime.now(UTC).date().isoformat()
    setting = advices[0].setting
    return Subject(
        name=row.name,
        slug=row.slug,
        date=date,
        advices=advices,
        currency=chosen_currency(arguments, setting),
        assumptions=used_assumptions(catalog, setting, date),
        tuning=next((row for row in catalog.services if row.id == "fine-tuning"), None),
    )


def _document(store: Store, subject: "Subject", arguments: argparse.Namespace) -> "Document":
    if arguments.report == "memo":
        from fathom_tui.reports.memo import memo

        return memo(subject)
    if arguments.report == "email":
        from fathom_tui.reports.email import email

        return email(subject)
    from fathom_tui.reports.audit import audit

    return audit(subject, _evidence(store, subject.slug))


def _evidence(store: Store, slug: str) -> "Evidence":
    from fathom_tui.reports.audit import Evidence, Waived

    return Evidence(
        trials=tuple(_trial(store, row.id) for row in store.runs(slug)),
        waived=tuple(
            Waived(
                run=str(row["run"]),
                gate=str(row["gate"]),
                by=str(row["by"]),
                reason=str(row["reason"]),
                on=str(row["at"])[:10],
            )
            for row in store.waivers(slug)
        ),
        test_openings=store.test_openings(slug),
    )


def _trial(store: Store, run_id: str) -> "Trial":
    from fathom_tui.reports.audit import Trial
    from fathom_tui.summary import summary

    found = summary(store.run_view(run_id), store.home.run(run_id))
    return Trial(
        run=run_id, state=found["state"], verdict=found["verdict"], headline=found["headline"]
    )


def _rendered(document: "Document", subject: "Subject", arguments: argparse.Namespace) -> str:
    if arguments.format == "html":
        from fathom_tui.reports.page import to_html

        return to_html(document)
    from fathom_tui.reports.markdown import to_markdown

    return to_markdown(document)


def _write(document: "Document", subject: "Subject", arguments: argparse.Namespace) -> list[Path]:
    """Write the report, and what it shows, and return the files; each is whole or not there."""
    files = _files(document, subject, arguments)
    for path in files:
        if path != arguments.out:
            _check_chart(path)
    for path, data in files.items():
        try:
            _put(path, data)
        except OSError as error:
            raise EnvironmentProblem(
                f"{path} cannot be written: {error.strerror}.", fix="Choose another --out."
            ) from error
    return list(files)


def _put(path: Path, data: bytes) -> None:
    """Write into what is no regular file; replace a regular one, or the one a link names."""
    if _is_special(path):
        path.write_bytes(data)
        return
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".fathom-{os.getpid()}.part")
    try:
        with beside.open("xb") as file:
            file.write(data)
        if target.exists():
            beside.chmod(target.stat().st_mode & 0o7777)
        beside.replace(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _is_special(path: Path) -> bool:
    """Return whether something is there that is no regular file, such as a device or a pipe."""
    return path.exists() and not path.is_file()


def _check_chart(path: Path) -> None:
    """Refuse to replace a picture that is not ours.

    Raises:
        UsageError: The file is somebody else's, or cannot be read.
    """
    from fathom_tui.reports.chart import is_chart

    if not path.exists():
        return
    try:
        ours = path.is_file() and is_chart(path.read_text("utf-8"))
    except (OSError, ValueError):
        ours = False
    if not ours:
        raise UsageError(
            f"{path} is where a chart would go, and it was not written by this program. Nothing "
            "was written.",
            fix="Choose another --out.",
        )


def _files(
    document: "Document", subject: "Subject", arguments: argparse.Namespace
) -> dict[Path, bytes]:
    out: Path = arguments.out
    if arguments.format == "pdf":
        from fathom_tui.reports.pdf import to_pdf

        pages = 1 if arguments.report == "memo" else None
        return {out: to_pdf(document, subject.date, pages=pages)}
    if arguments.format == "html":
        return {out: _rendered(document, subject, arguments).encode()}
    if _is_special(out):
        return {out: _rendered(document, subject, arguments).encode()}
    return _markdown_files(document, out)


def _markdown_files(document: "Document", out: Path) -> dict[Path, bytes]:
    from urllib.parse import quote

    from fathom_tui.reports.markdown import to_markdown

    count = len(document.pictures)
    names = [f"{out.stem}{f'-{n}' if count > 1 else ''}.svg" for n in range(1, count + 1)]
    drawings = {
        out.with_name(name): picture.svg.encode()
        for name, picture in zip(names, document.pictures, strict=True)
    }
    places = {
        picture.alt: quote(name) for name, picture in zip(names, document.pictures, strict=True)
    }
    return {**drawings, out: to_markdown(document, places).encode()}


def _to_json(
    document: "Document",
    subject: "Subject",
    arguments: argparse.Namespace,
    text: str | None,
    written: list[Path],
) -> dict[str, Any]:
    return {
        "report": arguments.report,
        "engagement": subject.slug,
        "date": subject.date,
        "format": arguments.format,
        "file": str(arguments.out) if arguments.out else None,
        "files": [str(path) for path in written],
        "text": text,
        "footnotes": [_footnote(number, note) for number, note in enumerate(document.notes, 1)],
        "workloads": [advice.to_json(subject.currency) for advice in subject.advices],
    }


def _footnote(number: int, note: "Note") -> dict[str, Any]:
    return {
        "number": number,
        "text": note.text,
        "kind": note.kind.value,
        "source": note.source,
        "as_of": note.as_of,
    }
