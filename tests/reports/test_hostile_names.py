"""Names come from people and files: in no format may one of them be anything but text."""

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fathom_tui.reports.audit import audit
from fathom_tui.reports.chart import crossover_chart
from fathom_tui.reports.document import Document, plain
from fathom_tui.reports.email import email
from fathom_tui.reports.markdown import to_markdown
from fathom_tui.reports.memo import memo
from fathom_tui.reports.page import to_html
from fathom_tui.reports.pdf import page_count
from fathom_tui.reports.subject import Subject
from tests.advising import BOOK
from tests.reports.goldens import EVIDENCE
from tests.reports.subjects import SUMMARIES, TRIAGE, subject

NASTY = (
    "<script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    "]]></desc></svg><script>",
    '" onload="alert(1)',
    "--><!--",
    "&lt;b&gt; &amp; &#60;",
    "| a | b |\n|---|---|",
    "# not a heading\n- nor a list",
    "**bold** _it_ `code` ~~no~~ [x](javascript:alert(1)) ![y](z)",
    "[^1]: a note of mine",
    "\x00\x1b[31m\u202e\ud800\uffff",
    "#panic() $x$ @ref <label> \\ //",
    "${title} $style",
    "=====",
    "1. one",
    "https://example.org/a?b=1",
    "<https://example.org> www.example.org",
)
names = st.one_of(
    st.sampled_from(NASTY),
    st.text(alphabet="<>&\"'`*_[]()#|~!\\-=+.:;$@{} \n\tab1\u202e\ud800", max_size=30),
    st.text(max_size=30),
)


def named(name: str) -> Subject:
    return subject(replace(TRIAGE, name=name), replace(SUMMARIES, name=f"{name}2"), name=name)


def documents(name: str) -> list[Document]:
    waived = replace(EVIDENCE.waived[0], by=f"x{name}", reason=f"x{name}", gate=f"x{name}")
    found = named(name)
    return [memo(found), email(found), audit(found, replace(EVIDENCE, waived=(waived,)))]


class Tags(HTMLParser):
    """Everything of a page that is not text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Any] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(tag)

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        self.found.append(("declaration", decl))

    def unknown_decl(self, data: str) -> None:
        self.found.append(("unknown", data))

    def handle_pi(self, data: str) -> None:
        self.found.append(("instruction", data))


def marks(markdown: str) -> list[str]:
    """Return what a CommonMark reader with tables sees beside text."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    flat = []
    for token in tokens.parse(markdown):
        flat += [token, *(token.children or ())]
    return [token.type for token in flat if token.type not in ("text", "text_special")]


@given(name=names)
@settings(max_examples=30)
def test_no_name_is_markup_in_html(name: str) -> None:
    for found, benign in zip(documents(name), documents("Acme"), strict=True):
        assert Tags(to_html(found)).found == Tags(to_html(benign)).found


@given(name=names)
@settings(max_examples=30)
def test_no_name_is_markup_in_markdown(name: str) -> None:
    for found, benign in zip(documents(f"x{name}"), documents("Acme"), strict=True):
        assert marks(to_markdown(found)) == marks(to_markdown(benign))


@given(name=names)
@settings(max_examples=30)
def test_no_name_is_markup_in_svg(name: str) -> None:
    advice = named(name).advices[0]

    root = ElementTree.fromstring(crossover_chart(advice, named(name).currency))

    benign = ElementTree.fromstring(crossover_chart(named("a").advices[0], named("a").currency))
    assert [each.tag for each in root.iter()] == [each.tag for each in benign.iter()]
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == f"Cost a month by volume: {plain(name)}"


@pytest.mark.parametrize("name", NASTY)
def test_no_name_is_markup_in_pdf(name: str) -> None:
    pytest.importorskip("typst")

    for document in documents(name):
        assert page_count(document, "2026-04-20") >= 1


def test_a_web_address_in_a_name_is_no_link() -> None:
    name = "see https://example.org/a_b?c=1 and www.example.org"
    linkify = MarkdownIt("gfm-like").enable("linkify")

    for document in documents(name):
        assert not [each for each in hrefs(document) if not each.startswith("#")]
        tokens = linkify.parse(to_markdown(document))
        children = [child.type for token in tokens for child in token.children or ()]
        assert "link_open" not in children


def test_a_web_address_in_a_source_is_a_link_and_takes_nothing_else_with_it() -> None:
    found = named("Acme")
    origin = replace(BOOK, source='https://example.org/a_b?c=1&d=2" onclick="x')
    rows = {name: replace(row, origin=origin) for name, row in found.assumptions.items()}

    for document in (memo(replace(found, assumptions=rows)),):
        links = [each for each in hrefs(document) if not each.startswith("#")]
        assert links and set(links) == {"https://example.org/a_b?c=1&d=2"}
        assert "<https://example.org/a_b?c=1&d=2>" in to_markdown(document)


def hrefs(document: Document) -> list[str]:
    tags = [tag[1] for tag in Tags(to_html(document)).found if tag[0] == "a" and tag != "a"]
    return [value for tag in tags for name, value in tag if name == "href"]


def test_other_schemes_are_no_links() -> None:
    document = email(named("javascript:alert(1) file:///etc/passwd data:text/html,x"))

    assert [tag for tag in Tags(to_html(document)).found if tag[0] == "a"] == []
