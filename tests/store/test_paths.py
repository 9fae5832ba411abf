"""Homes and the names in them."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.store.paths import Home, check_run_id, check_slug, slugify

BAD_SLUGS = (
    *("", "a/b", "/", "..", ".", "../x", ".hidden", "-first", "a\x00", "a\n", "a\x1b[2J"),
    *("é", "A", "a b", "a_b", "a.b", "a" * 65, "\u0661", "a\u2028"),
)


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("slug", BAD_SLUGS)
def test_check_slug_refuses_what_is_not_a_safe_name_and_shows_it(slug: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_slug(slug)

    assert repr(slug[:80]) in refused.value.message
    assert "a-z" in refused.value.fix
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("slug", ["a", "0", "acme", "acme-triage-2", "a--", "a" * 64])
def test_check_slug_returns_a_safe_name(slug: str) -> None:
    assert check_slug(slug) == slug


@pytest.mark.parametrize(
    "run_id", ["", "acme", "acme-", "acme-0", "acme-01", "acme-x", "-1", "../x-1", "a/b-1", "a-١"]
)
def test_check_run_id_refuses_what_is_not_a_slug_and_a_number(run_id: str) -> None:
    with pytest.raises(UsageError, match="is not"):
        check_run_id(run_id)


def test_check_run_id_takes_a_slug_that_ends_in_a_number() -> None:
    assert check_run_id("acme-2-13") == "acme-2-13"


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme triage", "acme-triage"),
        ("Été à Paris", "ete-a-paris"),
        ("  ../../etc/passwd ", "etc-passwd"),
        ("x" * 63 + " and more", "x" * 63),
    ],
)
def test_slugify_makes_a_short_name(name: str, slug: str) -> None:
    assert slugify(name) == slug


@pytest.mark.parametrize("name", ["", "---", "日本", "\x00"])
def test_slugify_asks_for_a_short_name_when_nothing_is_left(name: str) -> None:
    with pytest.raises(UsageError, match="No short name"):
        slugify(name)


@given(st.text())
def test_whatever_slugify_makes_is_a_safe_name(name: str) -> None:
    try:
        slug = slugify(name)
    except UsageError:
        return
    assert check_slug(slug) == slug


def test_home_holds_everything_below_fathom_home_when_set() -> None:
    home = Home.from_env({"FATHOM_HOME": "/srv/fathom", "HOME": "/home/ann"})

    assert home.database == Path("/srv/fathom/data/fathom.duckdb")
    assert home.inbox == Path("/srv/fathom/state/inbox")
    assert home.config == Path("/srv/fathom/config")
    assert home.cache == Path("/srv/fathom/cache")


def test_home_follows_the_xdg_variables_and_ignores_relative_ones() -> None:
    home = Home.from_env({"HOME": "/home/ann", "XDG_DATA_HOME": "/d", "XDG_STATE_HOME": "rel"})

    assert home.data == Path("/d/fathom")
    assert home.state == Path("/home/ann/.local/state/fathom")
    assert home.cache == Path("/home/ann/.cache/fathom")


def test_home_makes_a_relative_fathom_home_absolute() -> None:
    assert Home.from_env({"FATHOM_HOME": "here"}).data == Path.cwd() / "here" / "data"


def test_home_says_what_to_set_when_no_variable_is_set() -> None:
    with pytest.raises(EnvironmentProblem, match="FATHOM_HOME"):
        Home.from_env({})


@pytest.mark.parametrize(
    "env",
    [{"FATHOM_HOME": "/srv/a\\b"}, {"HOME": "/home/ann", "XDG_DATA_HOME": "/srv/a\\b"}],
)
def test_home_refuses_a_place_that_the_database_cannot_open(env: dict[str, str]) -> None:
    with pytest.raises(EnvironmentProblem, match="has a backslash in its name") as error:
        Home.from_env(env)

    assert error.value.fix == "Point FATHOM_HOME at a directory without one."


def test_home_refuses_a_name_that_is_not_utf_8() -> None:
    with pytest.raises(EnvironmentProblem, match="is not UTF-8"):
        Home.from_env({"FATHOM_HOME": os.fsdecode(b"/srv/\xff")})


def test_prepare_makes_directories_for_the_owner_only_whatever_the_umask(
    tmp_path: Path, no_umask: None
) -> None:
    home = Home.at(tmp_path / "deep" / "root").prepare()

    for path in (home.data, home.config, home.state, home.cache, home.runs, home.inbox):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) == 0o700


def test_prepare_names_the_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(EnvironmentProblem, match="file/root"):
        Home.at(tmp_path / "file" / "root").prepare()


def test_paths_of_engagements_and_runs_refuse_names_that_lead_elsewhere(home: Home) -> None:
    with pytest.raises(UsageError):
        home.engagement_journal("../../x")
    with pytest.raises(UsageError):
        home.run_journal("../../x-1")
    assert home.run_journal("acme-1") == home.runs / "acme-1" / "journal.jsonl"
