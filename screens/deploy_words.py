"""How versions stand, in a symbol and a style; and what is asked before something is done."""

from typing import TYPE_CHECKING

from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    from fathom_tui.releases import Release, Standing

ASKS_FIRST = ("ollama",)
"""Targets that answer for a version that is not live; the others are asked after the change."""


def of_accord(symbols: Symbols, accord: str, *, is_live: bool) -> tuple[str, str]:
    """Return the symbol and the style of an engagement: who agrees on what is live."""
    if accord == "differ":
        return symbols.refused, "$error"
    if not is_live:
        return symbols.pending, "$muted"
    found = {
        "agree": (symbols.done, "$success"),
        "stopped": (symbols.warned, "$warning"),
        "not reached": ("?", "$warning"),
        "not asked": (symbols.running, "$success"),
    }
    return found[accord]


def of_version(symbols: Symbols, row: "Release") -> tuple[str, str]:
    """Return the mark before a version: live, differing, or nothing."""
    if row.mismatch:
        return (symbols.refused, "$error") if row.is_serious else (symbols.warned, "$warning")
    if row.is_idle:
        return symbols.warned, "$warning"
    if row.is_live:
        return symbols.running, "$success"
    return (symbols.refused, "$error") if row.state == "failed" else (" ", "")


def of_said(row: "Release") -> tuple[str, str]:
    """Return what the server says of a version, and its style."""
    if row.mismatch:
        return row.said.value, "$error bold" if row.is_serious else "$warning"
    styles = {"live": "$success", "stopped": "$warning", "not reached": "$warning"}
    return row.said.value, styles.get(row.said.value, "$muted")


def rollback_text(row: "Release", found: "Standing", *, has_anchors: bool, total: int) -> str:
    """Return what a roll-back does, before it is done."""
    return "\n".join(
        (
            *_now_and_then(found, row.version, _about(row)),
            "",
            _proof(row.target, row.version, found, has_anchors=has_anchors, total=total),
        )
    )


def deploy_text(
    run: str,
    kept: "Release | None",
    found: "Standing",
    *,
    target: str,
    score: str,
    waived_by: str = "",
) -> str:
    """Return what deploying a run does.

    Args:
        run: The run.
        kept: The version that its file is already; None where it becomes a new one.
        found: What is live now.
        target: Where it will be served; empty where the recipe does not say.
        score: Of the file, in words; empty where it is not known.
        waived_by: Who waived that its anchors must pass; empty where nobody did.
    """
    if kept is None:
        then = f"a new version, the file of {clean(run)}"
    else:
        then = f"{kept.version}, which is the file of {clean(run)}"
    about = ", ".join(part for part in (score, f"on {target}" if target else "") if part)
    return "\n".join(
        (
            *_now_and_then(found, then, about),
            "",
            _proof(target, "it", found, has_anchors=True, total=0)
            if not waived_by
            else f"{clean(waived_by)} waived its anchors: they are asked, and it stays live "
            "whatever it answers.",
        )
    )


def remove_text(row: "Release", found: "Standing") -> str:
    """Return what removing a version does."""
    live = found.live
    after = f"{live.version} stays live. " if live is not None else "Nothing is live, as before. "
    return (
        f"{row.version} is deleted on {row.target or 'its server'}: {_about(row) or 'no figures'}."
        f"\n\n{after}There is no way back to {row.version} after this, except to deploy "
        f"{clean(row.run) or 'its run'} again while the run keeps its file. What the ledger "
        "knows of it stays."
    )


def _now_and_then(found: "Standing", then: str, about: str) -> tuple[str, str]:
    live = found.live
    now = f"{live.version} on {live.target}" if live is not None else "nothing"
    if live is not None and live.check is not None and live.check.total:
        now += f", {_last_check(live)}"
    if found.accord == "stopped":
        now += ", its server is not running"
    if found.accord == "differ":
        served = found.serving.version if found.serving is not None else "none of these"
        ledger = live.version if live is not None else "nothing"
        now = f"{ledger} says the ledger, {served} says the server"
    return f"Live now:   {now}", f"Live then:  {then}" + (f", {about}" if about else "")


def _about(row: "Release") -> str:
    parts = [clean(row.run)] if row.run else []
    if row.facts.score is not None:
        parts.append(f"score {row.facts.score:.3f}")
    if row.check is not None and row.check.total:
        parts.append(_last_check(row))
    return ", ".join(parts)


def _last_check(row: "Release") -> str:
    check = row.check
    assert check is not None
    return f"last check {'?' if check.passed is None else check.passed}/{check.total}"


def _proof(target: str, version: str, found: "Standing", *, has_anchors: bool, total: int) -> str:
    """Return how it proves itself, and what happens if it does not."""
    if not has_anchors:
        return (
            f"The anchors of {version} are not kept any more: nothing will say whether it answers "
            "as it should."
        )
    live = found.live
    back = (
        f"{live.version} answers again" if live is not None and live.version != version
        else "it is taken back and nothing is served"
    )  # fmt: skip
    anchors = f"its {total} anchors" if total else "its anchors"
    who = "It" if version == "it" else version
    if target in ASKS_FIRST:
        return (
            f"{who} is asked {anchors} first: if one fails nothing changes. Then it goes live "
            f"and is asked again: if one fails {back}."
        )
    return (
        f"{who} goes live and is asked {anchors}: if one fails {back}. On {target} "
        "a version can be asked only when it is live, so for that moment it serves."
    )
