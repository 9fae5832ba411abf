import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fathom_tui import cli
from fathom_tui.errors import ExitCode
from fathom_tui.store import Home, Store
from fathom_tui.store.workloads import keep_workload
from fathom_tui.workload import Workload

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def acme(home: Home) -> str:
    """An engagement with two workloads and a waiver."""
    store = Store(home)
    slug = store.create_engagement("Acme <triage>", {}, "acme")
    keep_workload(store, slug, Workload(name="triage", tokens_per_day=2e6, regulations=("gdpr",)))
    keep_workload(store, slug, Workload(name="support", tokens_per_day=8e6, input_share=0.9))
    waiver = {"run": "acme-1", "gate": "data.floor", "by": "Ann", "reason": "a pilot"}
    store.record(slug, "waiver", waiver)
    return slug


def fathom(*arguments: str) -> int:
    return cli.main(["report", *arguments])


def answered(capsys: Capture) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("kind", ["memo", "email", "audit"])
def test_report_goes_to_stdout_as_markdown(acme: str, capsys: Capture, kind: str) -> None:
    assert fathom(kind, acme) == ExitCode.DONE

    assert capsys.readouterr().out.startswith(r"# Acme \<triage\>: ")


@pytest.mark.parametrize("kind", ["memo", "email", "audit"])
def test_html_is_one_whole_page(acme: str, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "report.html"

    assert fathom(kind, acme, "--format", "html", "--out", str(out)) == ExitCode.DONE

    page = out.read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>")
    assert "Acme &lt;triage&gt;" in page
    assert [path.name for path in tmp_path.glob("report*")] == ["report.html"]


@pytest.mark.parametrize("kind", ["memo", "audit"])
def test_pdf_is_written(acme: str, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("typst")
    out = tmp_path / "report.pdf"

    assert fathom(kind, acme, "--format", "pdf", "--out", str(out)) == ExitCode.DONE

    assert out.read_bytes().startswith(b"%PDF-")


def test_markdown_in_a_file_has_its_charts_beside_it(acme: str, tmp_path: Path) -> None:
    out = tmp_path / "an audit.md"

    assert fathom("audit", acme, "--out", str(out)) == ExitCode.DONE

    text = out.read_text("utf-8")
    assert "](<an%20audit-1.svg>)" in text and "](<an%20audit-2.svg>)" in text
    assert (tmp_path / "an audit-2.svg").read_text("utf-8").startswith("<svg ")


def test_audit_prints_the_waivers_of_the_ledger(acme: str, capsys: Capture) -> None:
    fathom("audit", acme)

    assert "**data.floor** of acme-1, lifted by Ann on " in capsys.readouterr().out


def test_json_has_the_notes_and_what_advise_prints(acme: str, capsys: Capture) -> None:
    assert fathom("memo", acme, "--json") == ExitCode.DONE

    found = answered(capsys)
    assert list(found) == [
        *("report", "engagement", "date", "format", "file", "files", "text", "footnotes"),
        "workloads",
    ]
    assert (found["report"], found["engagement"], found["format"]) == ("memo", "acme", "md")
    assert found["file"] is None and found["text"].startswith("# ")
    assert [note["number"] for note in found["footnotes"]] == list(
        range(1, len(found["footnotes"]) + 1)
    )
    assert set(found["footnotes"][0]) == {"number", "text", "kind", "source", "as_of"}
    assert [each["verdict"] for each in found["workloads"]] == ["local", "hybrid"]


def test_json_names_the_file_instead_of_its_text(
    acme: str, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "memo.html"

    fathom("memo", acme, "--format", "html", "--out", str(out), "--json")

    found = answered(capsys)
    assert (found["file"], found["text"]) == (str(out), None)


def test_changed_assumption_is_named_as_given(acme: str, capsys: Capture) -> None:
    fathom("memo", acme, "--assume", "operations_gbp=100")

    assert "Operations: £100 a month" in (text := capsys.readouterr().out)
    assert "Source: given for this report" in text


def test_engagement_without_workloads_says_what_to_type(home: Home, capsys: Capture) -> None:
    Store(home).create_engagement("Empty", {}, "empty")

    assert fathom("memo", "empty") == ExitCode.USAGE

    assert "fathom advise --tokens-per-day 2M --name NAME --engagement empty" in (
        capsys.readouterr().err
    )


def test_unknown_engagement_is_named(acme: str, capsys: Capture) -> None:
    assert fathom("memo", "acmee") == ExitCode.USAGE

    assert "Did you mean acme?" in capsys.readouterr().err


def test_pdf_without_a_file_is_refused(acme: str, capsys: Capture) -> None:
    assert fathom("memo", acme, "--format", "pdf") == ExitCode.USAGE

    assert "--out acme-memo.pdf" in capsys.readouterr().err


@pytest.mark.parametrize("out", [".", "missing/memo.md", "memo.svg"])
def test_place_where_no_report_can_go_is_refused(
    acme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)

    assert fathom("memo", acme, "--out", out) == ExitCode.USAGE
    assert list(tmp_path.glob("*memo*")) == []


def test_device_is_written_into_and_stays_a_device(acme: str, tmp_path: Path) -> None:
    link = tmp_path / "nowhere.md"
    link.symlink_to("/dev/null")

    assert fathom("memo", acme, "--out", str(link)) == ExitCode.DONE

    assert link.is_char_device()
    assert [path.name for path in tmp_path.glob("nowhere*")] == ["nowhere.md"]


def test_full_device_is_an_error_and_stays_a_device(
    acme: str, tmp_path: Path, capsys: Capture
) -> None:
    link = tmp_path / "full.md"
    link.symlink_to("/dev/full")

    assert fathom("memo", acme, "--out", str(link)) == ExitCode.ENVIRONMENT

    assert "No space left" in capsys.readouterr().err
    assert link.is_char_device()


def test_pipe_gets_the_report_without_charts(acme: str, tmp_path: Path) -> None:
    pipe, found = tmp_path / "pipe.md", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_text("utf-8")))
    reader.start()

    assert fathom("memo", acme, "--out", str(pipe)) == ExitCode.DONE

    reader.join()
    assert pipe.is_fifo() and "*Chart: " in found[0]
    assert [path.name for path in tmp_path.glob("pipe*")] == ["pipe.md"]


def test_link_stays_and_the_file_it_names_is_replaced(acme: str, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    target, link = tmp_path / "kept" / "memo.html", tmp_path / "link.html"
    target.write_text("old", "utf-8")
    target.chmod(0o600)
    link.symlink_to(target)

    assert fathom("memo", acme, "--format", "html", "--out", str(link)) == ExitCode.DONE

    assert link.is_symlink() and target.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["memo.html"]


def test_link_to_nothing_makes_the_file_it_names(acme: str, tmp_path: Path) -> None:
    link = tmp_path / "link.html"
    link.symlink_to("new.html")

    assert fathom("memo", acme, "--format", "html", "--out", str(link)) == ExitCode.DONE

    assert link.is_symlink() and (tmp_path / "new.html").is_file()


@pytest.mark.parametrize("content", [b"<svg>mine</svg>", b"\xff\xfe", b""])
def test_picture_of_somebody_else_is_never_replaced(
    acme: str, tmp_path: Path, capsys: Capture, content: bytes
) -> None:
    picture = tmp_path / "audit-2.svg"
    picture.write_bytes(content)

    assert fathom("audit", acme, "--out", str(tmp_path / "audit.md")) == ExitCode.USAGE

    said = capsys.readouterr().err
    assert str(picture) in said and "Choose another --out." in said
    assert picture.read_bytes() == content
    assert [path.name for path in tmp_path.glob("audit*")] == ["audit-2.svg"]


def test_report_and_its_own_charts_can_be_written_again(
    acme: str, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "memo.md"
    fathom("memo", acme, "--out", str(out))
    capsys.readouterr()

    assert fathom("memo", acme, "--out", str(out), "--json") == ExitCode.DONE

    printed = capsys.readouterr()
    files = [str(out.with_suffix(".svg")), str(out)]
    assert json.loads(printed.out)["files"] == files
    assert [f"Written: {file}" in printed.err for file in files] == [True, True]


def test_memo_names_what_it_was_computed_for(acme: str, capsys: Capture) -> None:
    fathom("memo", acme, "--gpu-price", "2500", "--assume", "operations_gbp=100")

    said = " ".join(capsys.readouterr().out.split())
    assert "RTX 4090 24GB at £2,500 against Claude Sonnet 4 (prices of " in said
    assert "changed: " in said and "100 GBP/month" in said


@pytest.mark.parametrize(
    ("name", "begins"),
    [("memo.html", b"<!DOCTYPE html>"), ("memo.HTM", b"<!DOCTYPE html>"), ("memo.txt", b"# ")],
)
def test_format_follows_the_name_of_the_file(
    acme: str, tmp_path: Path, name: str, begins: bytes
) -> None:
    out = tmp_path / name

    assert fathom("memo", acme, "--out", str(out)) == ExitCode.DONE

    assert out.read_bytes().startswith(begins)


def test_name_of_a_pdf_makes_a_pdf(acme: str, tmp_path: Path) -> None:
    pytest.importorskip("typst")
    out = tmp_path / "memo.pdf"

    assert fathom("memo", acme, "--out", str(out)) == ExitCode.DONE

    assert out.read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("arguments", "says", "fix"),
    [
        (("memo", "--format", "md", "--out", "memo.pdf"), "--format md goes", "memo.md"),
        (("memo", "--format", "pdf", "--out", "memo.html"), "--format pdf goes", "memo.pdf"),
        (("email", "--out", "mail.pdf"), "is not written as pdf", ".md or .html"),
        (("memo", "--out", ""), "--out is empty", "--out acme-memo.md"),
        (("memo", "--out", " "), "--out is empty", "leave it out"),
        (("memo", "--format", "pdf", "--out", "-"), "A PDF goes to a file", "acme-memo.pdf"),
        (("memo", "--out", "memo.svg"), "chart of the report", "memo.md"),
    ],
)
def test_format_and_name_that_contradict_are_refused(
    acme: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    arguments: tuple[str, ...],
    says: str,
    fix: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    kind, *rest = arguments

    assert fathom(kind, acme, *rest) == ExitCode.USAGE

    said = capsys.readouterr().err
    assert says in said and fix in said.partition("fix:")[2]
    assert list(tmp_path.glob("m*")) == []


@pytest.mark.parametrize(("form", "begins"), [("md", "# "), ("html", "<!DOCTYPE html>")])
def test_dash_is_stdout(
    acme: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    form: str,
    begins: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert fathom("memo", acme, "--format", form, "--out", "-") == ExitCode.DONE

    printed = capsys.readouterr().out
    assert printed.startswith(begins)
    assert ("<svg" in printed) is (form == "html")
    assert not (tmp_path / "-").exists()


def test_unknown_engagement_says_how_to_make_it(home: Home, capsys: Capture) -> None:
    assert fathom("memo", "acme-triage") == ExitCode.USAGE

    assert "fathom engagement create acme-triage --advice-only" in capsys.readouterr().err
