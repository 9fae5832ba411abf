"""What an action did, in lines: while it goes on, and what came of it; and the last package."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from textual.content import Content

from fathom_tui.screens.deploy_packed import recorded_parts
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean, clock, duration, size

if TYPE_CHECKING:
    from fathom_tui.screens.deploy_actions import Action

_LABEL = 11
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST = 200
"""Lines of an action that are shown, the last ones."""


def lines(action: "Action | None", symbols: Symbols, width: int) -> Sequence[Content]:
    """Return what an action says and what came of it."""
    if action is None:
        return [
            line
            for keys, text in (
                ("b", "go back to the version under the cursor"),
                ("d", "deploy the last accepted run"),
                ("x", "remove the version under the cursor"),
                ("p", "write the delivery package; v verifies one"),
            )
            for line in wrapped(
                Content.assemble((f"{keys}  ", "$accent bold"), (text, "$muted")), width, indent=3
            )
        ]
    found = [_head(action, symbols).truncate(width, ellipsis=True)]
    for line in action.lines[-_MOST:]:
        found += wrapped(Content.styled(f"  {clean(line)}", "$muted"), width, indent=4)
    if action.ended is not None:
        found += _outcome(action, symbols, width)
    return found


def is_good(action: "Action") -> bool:
    """Say whether an action did what it should."""
    ended = action.ended
    return ended is not None and not ended.problem and ended.code == 0


def summary(action: "Action") -> str:
    """Return what came of an action, in a sentence."""
    ended = action.ended
    if ended is None:
        return ""
    data: Any = ended.data if isinstance(ended.data, Mapping) else {}
    if "passed" in data and "files" in data:
        return _verified(data)
    if ended.problem or ended.code:
        return ended.problem or f"The command ended with {ended.code}."
    if "package" in data:
        return f"{data['package']} is written."
    if "version" in data:
        anchors = data.get("anchors")
        said = f" {anchors['passed']} of {anchors['total']} anchors pass." if anchors else ""
        return f"{data.get('engagement')} {data['version']} is live on {data.get('target')}.{said}"
    return action.lines[-1] if action.lines else "Done."


def _head(action: "Action", symbols: Symbols) -> Content:
    if action.ended is None:
        return Content.assemble(
            (f"{symbols.running} ", "$accent"), (clean(action.doing), "$accent bold"),
            (f"  {clock(action.elapsed_s)}", "$accent"),
        )  # fmt: skip
    good = is_good(action)
    mark, style = (symbols.done, "$success") if good else (symbols.refused, "$error")
    return Content.assemble(
        (f"{mark} ", style), (clean(action.doing), f"{style} bold"),
        (f"  {duration(action.elapsed_s)}", "$muted"),
    )  # fmt: skip


def _outcome(action: "Action", symbols: Symbols, width: int) -> list[Content]:
    ended = action.ended
    assert ended is not None
    mark, style = (symbols.done, "") if is_good(action) else (symbols.refused, "$error")
    found = wrapped(
        Content.assemble((f"{mark} ", style or "$success"), (clean(summary(action)), style)),
        width, indent=2,
    )  # fmt: skip
    data = ended.data if isinstance(ended.data, Mapping) else {}
    if "package" in data and "directory" in data:
        found += packaged(data, symbols, width)
    for text in _failures(data):
        found += wrapped(Content.assemble((f"{symbols.refused} ", "$error"), text), width, indent=2)
    if ended.fix:
        way = Content.assemble((f"  {symbols.then} ", "$accent"), clean(ended.fix))
        found += wrapped(way, width, indent=4)
    return found


def _verified(data: Mapping[str, Any]) -> str:
    files, anchors = _rows(data, "files"), _rows(data, "anchors")
    right = sum(row.get("state") == "ok" for row in files)
    passing = sum(row.get("passed") is True for row in anchors)
    asked = f", {passing} of {len(anchors)} anchors pass" if anchors else ""
    word = "is right" if data.get("passed") else "is not right"
    if data.get("problems") and not data.get("passed"):
        word = "could not be checked"
    return f"{data.get('package')} {word}: {right} of {len(files)} files{asked}."


def _failures(data: Mapping[str, Any]) -> list[str]:
    said = [clean(text) for text in data.get("problems") or ()]
    said += [
        f"{clean(row.get('path'))}: {clean(row.get('state'))}"
        for row in _rows(data, "files")
        if row.get("state") != "ok"
    ]
    return said + [
        f"anchor {clean(row.get('id'))}: expected {clean(row.get('expected'))}, "
        f"answered {clean(row.get('actual'))} ({clean(row.get('finish_reason'))})"
        for row in _rows(data, "anchors")
        if row.get("passed") is not True
    ]


def _rows(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = data.get(name)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def packaged(data: Mapping[str, Any], symbols: Symbols, width: int) -> list[Content]:
    """Return what a package that was just written is, and where."""
    items = [item for item in data.get("checklist") or () if isinstance(item, Mapping)]
    done = sum(item.get("done") is True for item in items)
    total = data.get("bytes")
    entries = (
        ("package", data.get("package")),
        ("in", str(PurePath(str(data.get("directory"))).parent)),
        ("archive", PurePath(str(data.get("archive") or "none was asked for")).name),
        ("size", size(total) if isinstance(total, int | float) else None),
        ("of", f"{data.get('run')}, {data.get('version')}"),
        ("SHA256SUMS", data.get("sums_sha256")),
        ("its sha256", data.get("archive_sha256")),
        ("checklist", f"{done} of {len(items)} verified; the rest is in checklist.md"),
    )
    found = [
        line
        for label, value in entries
        if value
        for line in _entry(label, _short(str(value), width), width)
    ]
    for note in data.get("notes") or ():
        found += wrapped(
            Content.assemble((f"{symbols.warned} ", "$warning"), clean(note)), width, indent=2
        )
    return found


def package(
    data: Mapping[str, Any] | None, recorded: str, at: Path | None, verified: "Action | None",
    symbols: Symbols, width: int,
) -> list[Content]:  # fmt: skip
    """Return the last package of an engagement, and what to do about it.

    Args:
        data: Of the one written from here; None where another one is the last.
        recorded: What the ledger says of the last one; empty where there is none.
        at: Where that one is; None where that is not known.
        verified: The last verification made from here; None where there is none.
        symbols: What the terminal can show.
        width: Cells of the widest line.
    """
    found: list[Content] = []
    if verified is not None and verified.ended is not None:
        good = is_good(verified)
        mark, style = (symbols.done, "$success") if good else (symbols.refused, "$error")
        text = Content.assemble((f"{mark} ", style), (clean(summary(verified)), style))
        found += wrapped(text, width, indent=2)
    if data is not None:
        found += packaged(data, symbols, width)
    elif recorded:
        found += [
            line
            for label, value in _recorded(recorded, at)
            for line in _entry(label, _short(value, width), width)
        ]
    else:
        found.append(Content.styled("none was written yet", "$muted"))
    keys = Content.assemble(
        ("p", "$accent bold"), (" writes it   ", "$muted"),
        ("v", "$accent bold"), (" verifies it", "$muted"),
    )  # fmt: skip
    return [*found, Content(""), *wrapped(keys, width)]


def _recorded(said: str, at: Path | None) -> list[tuple[str, str]]:
    """Return what the ledger says of a package: its name, its run, the sum of its sums."""
    where = str(at.parent) if at is not None else "not recorded: v asks for it"
    found = recorded_parts(said)
    if found is None:
        return [("last one", said), ("in", where)]
    name, run, sums = found
    return [("package", name), ("in", where), ("of", run), ("SHA256SUMS", sums)]


def _short(value: str, width: int) -> str:
    """Return a digest as far as there is room: enough to tell packages apart."""
    digest = _DIGEST.fullmatch(value) is not None
    return f"{value[:16]}..." if digest and len(value) > width - _LABEL else value


def _entry(label: str, value: object, width: int) -> list[Content]:
    text = Content.assemble((f"{label:<{_LABEL}}", "$muted"), clean(value))
    return wrapped(text, width, indent=_LABEL)
