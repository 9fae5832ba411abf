"""What a Modelfile says is what Ollama reads from it: a reader after its parser, and any text."""

import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fathom_tui.errors import UsageError
from fathom_tui.runner.modelfile import modelfile, parameters
from fathom_tui.serving import ServingSpec

SPEC = ServingSpec(
    sha256="0" * 64,
    system="Triage the message.",
    n_ctx=4096,
    threads=8,
    max_new_tokens=32,
)


def _unquoted(value: str) -> str | None:
    for quotes in ('"""', '"'):
        if value.startswith(quotes):
            whole = len(value) >= 2 * len(quotes) and value.endswith(quotes)
            return value[len(quotes) : -len(quotes)] if whole else None
    return value


def _value(text: str) -> tuple[str, str]:
    """Return the value that a text begins with, and what comes after it."""
    for end in [*(found.start() for found in re.finditer("[\r\n]", text)), len(text)]:
        kept = "".join(c for c in text[:end] if c in " \t\r\n" or c.isprintable())
        whole = _unquoted(kept.strip())
        if whole is not None:
            return whole, text[end + 1 :]
    raise AssertionError(f"the file ends within quotes: {text!r}")


def read(text: str) -> list[tuple[str, str]]:
    """Read a Modelfile as Ollama v0.33.0-rc2 does (parser/parser.go), for files without comments.

    A value ends at the first newline at which it is whole; of what is not a blank, only printable
    characters are kept.
    """
    commands, rest = [], text
    while rest := rest.lstrip(" \t\r\n"):
        name, _, rest = rest.partition(" ")
        if name == "PARAMETER":
            name, _, rest = rest.partition(" ")
        value, rest = _value(rest)
        commands.append((name, value))
    return commands


def test_a_version_is_written_with_all_that_makes_it_answer_as_trained() -> None:
    spec = replace(SPEC, stop=("###", "\n\n"), template="{{ .Prompt }}", license="Apache-2.0")

    assert modelfile(spec, source="./triage-q4km.gguf") == (
        "FROM ./triage-q4km.gguf\n"
        "TEMPLATE {{ .Prompt }}\n"
        "SYSTEM Triage the message.\n"
        "PARAMETER num_ctx 4096\n"
        "PARAMETER temperature 0\n"
        "PARAMETER seed 0\n"
        "PARAMETER num_predict 32\n"
        "PARAMETER repeat_penalty 1.0\n"
        "PARAMETER stop ###\n"
        'PARAMETER stop """\n\n"""\n'
        "LICENSE Apache-2.0\n"
    )


def test_what_is_empty_is_left_out_but_the_pinned_parameters() -> None:
    names = [name for name, _ in read(modelfile(replace(SPEC, system=""), source="m.gguf"))]

    assert names == ["FROM", "num_ctx", "temperature", "seed", "num_predict", "repeat_penalty"]
    assert parameters(SPEC)["stop"] == []


def test_a_large_context_is_written_in_full() -> None:
    assert "PARAMETER num_ctx 1048576\n" in modelfile(replace(SPEC, n_ctx=1 << 20), source="m")


@pytest.mark.parametrize(
    "system",
    [
        'Say "yes" or "no".\nNothing else.',
        '"Quoted" at the start',
        'Ends with a quote "',
        '"',
        '""',
        '"""',
        'Three """ within a line\nand more',
        'On one line """',
        " leading and trailing \n",
        "tabs\tand\r\nWindows lines",
        "Grüße 日本 🙂 — “quotes”",
        "# no comment\nFROM elsewhere\nPARAMETER temperature 2",
        "\n",
    ],
)
def test_a_text_with_quotes_newlines_and_unicode_comes_back_whole(system: str) -> None:
    assert _system(system) == system


@pytest.mark.parametrize(
    ("system", "problem"),
    [
        ('A line ends with """\nand another follows.', "ends with three quotation marks"),
        ('Blanks after """  \t\nit.', "ends with three quotation marks"),
        ("A family: 👨\u200d👩", r"holds U\+200D"),
        ("No\u00a0break", r"holds U\+00A0"),
        ("A bell \x07", r"holds U\+0007"),
        ("Half a \ud83d character", r"holds U\+D83D"),
    ],
)
def test_what_ollama_would_read_otherwise_is_refused_and_the_way_out_named(
    system: str, problem: str
) -> None:
    with pytest.raises(UsageError, match=f"SYSTEM text .*{problem}") as error:
        modelfile(replace(SPEC, system=system), source="m.gguf")

    assert "through the API" in error.value.fix


def test_a_licence_loses_what_says_nothing() -> None:
    written = modelfile(replace(SPEC, license="Terms\f\n§\u00a01: none\n"), source="m.gguf")

    assert read(written)[-1] == ("LICENSE", "Terms\n§ 1: none\n")


_TEXTS = st.text(max_size=60) | st.text(alphabet='" \n\r\tab"\u200d', max_size=20)


@given(_TEXTS)
@example('x"""\n')
@example('"""\n')
@example("\r")
@example('""\n"')
def test_any_text_comes_back_as_it_was_or_is_refused(system: str) -> None:
    try:
        assert _system(system) == system
    except UsageError as error:
        assert re.search(r"U\+|quotation", error.message)


@given(st.lists(st.text(alphabet="<|>a\n \"'", min_size=1, max_size=8), max_size=4))
def test_any_stop_texts_come_back_in_their_order(stop: list[str]) -> None:
    try:
        written = modelfile(replace(SPEC, stop=tuple(stop)), source="m.gguf")
    except UsageError:
        return

    assert [value for name, value in read(written) if name == "stop"] == stop


def _system(text: str) -> str:
    commands = dict(read(modelfile(replace(SPEC, system=text), source="m.gguf")))
    assert commands["FROM"] == "m.gguf"
    assert commands["num_predict"] == "32"
    return commands.get("SYSTEM", "")
