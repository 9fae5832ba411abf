"""The text of a systemd unit: sections, settings, and words quoted so that systemd reads them back.

Source: systemd.syntax(7), systemd.service(5) "Command lines", systemd.unit(5) "Specifiers",
systemd.exec(5) on Environment= and EnvironmentFile=.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fathom_tui.errors import UsageError

_PLAIN = re.compile(r"[A-Za-z0-9_@:,./=+-]+", re.ASCII)
_VARIABLE = re.compile(r"\$\{[A-Z_]+\}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFile:
    """One unit as it stands on disk."""

    name: str
    """With its suffix, for example `fathom-agent.service`."""
    text: str


def render(head: str, sections: Sequence[tuple[str, Iterable[tuple[str, str]]]]) -> str:
    """Return a unit's text.

    Args:
        head: Comment at the top, one or more lines.
        sections: Each section's name with its settings in order; a setting whose name is empty is
            a comment. Values are taken as they are: quote them first.
    """
    blocks = ["\n".join(f"# {line}" for line in head.splitlines())]
    for name, settings in sections:
        lines = [f"{key}={value}" if key else f"# {value}" for key, value in settings]
        blocks.append("\n".join([f"[{name}]", *lines]))
    return "\n\n".join(blocks) + "\n"


def word(text: str) -> str:
    """Return one word of a list of words or of an assignment, for example `NAME=value`.

    Raises:
        UsageError: It holds a control character or bytes that are no text.
    """
    _check(text)
    doubled = text.replace("%", "%%")
    if _PLAIN.fullmatch(doubled):
        return doubled
    escaped = doubled.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def command(arguments: Sequence[str]) -> str:
    """Return a command line in which every argument means itself, dollar signs included.

    Raises:
        UsageError: An argument holds a control character or bytes that are no text.
    """
    # The colon tells systemd to leave variables alone; doubling the dollar would not do for the
    # program itself, whose path is never expanded.
    colon = ":" if any("$" in argument for argument in arguments) else ""
    first, *rest = (word(argument) for argument in arguments)
    if not colon:
        return " ".join([first, *rest])
    start = f'":{first[1:]}' if first.startswith('"') else f":{first}"
    return " ".join([start, *rest])


def command_with_variables(arguments: Sequence[str]) -> str:
    """Return a command line in which `${NAME}` alone in an argument is the variable's value.

    Raises:
        UsageError: An argument holds a control character, or the program's path a dollar sign.
    """
    if "$" in arguments[0]:
        raise UsageError(
            f"The path {arguments[0]!r} has a dollar sign, and its unit has variables.",
            fix="Move or link the program to a path without one.",
        )
    return " ".join(
        argument if _VARIABLE.fullmatch(argument) else word(argument.replace("$", "$$"))
        for argument in arguments
    )


def bare_path(path: str) -> str:
    """Return a path for a setting that takes the rest of its line, unquoted (EnvironmentFile=).

    Raises:
        UsageError: It holds a control character, ends in a backslash or white space, or is not
            absolute.
    """
    _check(path)
    if not path.startswith("/") or path != path.strip() or path.endswith("\\"):
        raise UsageError(
            f"The path {path!r} cannot stand in a unit.",
            fix="Use an absolute path that does not end in white space or a backslash.",
        )
    return path.replace("%", "%%")


def environment_file(variables: Iterable[tuple[str, str]]) -> str:
    """Return the text of a file for EnvironmentFile=: one quoted assignment a line.

    Raises:
        UsageError: A value holds a control character or bytes that are no text.
    """
    return "".join(f'{name}="{_in_quotes(value)}"\n' for name, value in variables)


def _in_quotes(value: str) -> str:
    _check(value)
    return re.sub(r'(["\\$`])', r"\\\1", value)


def _check(text: str) -> None:
    if any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in text):
        raise UsageError(
            f"{text!r} holds a control character, which a unit cannot name.",
            fix="Rename the file or directory.",
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{text!r} is not UTF-8, and systemd reads nothing else.",
            fix="Rename the file or directory.",
        ) from error
