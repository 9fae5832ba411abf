"""Where everything lives: one home with data, config, state and cache, and the names in it."""

import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.store.private import make_directory

MAX_SLUG_LENGTH = 64
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]*", re.ASCII)
_RUN_NUMBER = re.compile(r"[1-9][0-9]*", re.ASCII)
_XDG_DEFAULTS = {
    "data": ("XDG_DATA_HOME", ".local/share"),
    "config": ("XDG_CONFIG_HOME", ".config"),
    "state": ("XDG_STATE_HOME", ".local/state"),
    "cache": ("XDG_CACHE_HOME", ".cache"),
}


def check_slug(slug: str) -> str:
    """Return the slug if it is a safe name for a directory.

    Raises:
        UsageError: Empty, longer than 64, or made of anything but a-z, 0-9 and dashes.
    """
    if len(slug) <= MAX_SLUG_LENGTH and _SLUG.fullmatch(slug):
        return slug
    raise UsageError(
        f"{slug[:80]!r} is not an engagement's short name.",
        fix=f"Use 1 to {MAX_SLUG_LENGTH} characters of a-z, 0-9 and dashes, "
        "the first one a letter or a digit, for example acme-triage.",
    )


def check_run_id(run_id: str) -> str:
    """Return the run's id if it has the form `<slug>-<n>`.

    Raises:
        UsageError: It has another form.
    """
    slug, dash, number = run_id.rpartition("-")
    if dash and _RUN_NUMBER.fullmatch(number):
        check_slug(slug)
        return run_id
    raise UsageError(
        f"{run_id[:80]!r} is not a run's id.",
        fix="A run's id is the engagement's short name and a number, for example acme-triage-3; "
        "`fathom runs` lists them.",
    )


def slugify(name: str) -> str:
    """Return the slug for a name: "Été à Paris" becomes "ete-a-paris".

    Raises:
        UsageError: Nothing of the name can be written in a-z and 0-9.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_SLUG_LENGTH].rstrip("-")
    if slug:
        return slug
    raise UsageError(
        f"No short name can be made from {name[:80]!r}: it has no letter a-z and no digit.",
        fix="Give a short name as well: --slug acme-triage",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The four directories that Fathom writes to, and every path inside them."""

    data: Path
    config: Path
    state: Path
    cache: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read FATHOM_HOME, else the XDG variables.

        Raises:
            EnvironmentProblem: Neither FATHOM_HOME nor HOME says where home is, or it is a place
                that DuckDB cannot open.

        Source: XDG Base Directory Specification 0.8 (relative paths are ignored).
        """
        root = env.get("FATHOM_HOME")
        if root:
            # Not Path.expanduser(), which raises where nobody has that name.
            path = Path(os.path.expanduser(root)).absolute()
            if os.path.exists(path) and not os.path.isdir(path):
                raise EnvironmentProblem(
                    f"FATHOM_HOME is {path}, which is not a directory.",
                    fix="Point FATHOM_HOME at a directory you can write to.",
                )
            return cls.at(path)._openable()
        return cls(**{part: _xdg(env, *names) for part, names in _XDG_DEFAULTS.items()})._openable()

    def _openable(self) -> Self:
        try:
            str(self.data).encode("utf-8")
        except UnicodeEncodeError as error:
            raise EnvironmentProblem(
                f"{str(self.data)!r} is not UTF-8, and DuckDB cannot open files there.",
                fix="Point FATHOM_HOME at a directory whose name is UTF-8.",
            ) from error
        # DuckDB 2.0 takes a backslash for a separator, on Linux too, and looks somewhere else.
        if "\\" in str(self.data):
            raise EnvironmentProblem(
                f"{self.data} has a backslash in its name, and DuckDB cannot open files there.",
                fix="Point FATHOM_HOME at a directory without one.",
            )
        return self

    @classmethod
    def at(cls, root: Path) -> Self:
        """Return a home with everything below one directory."""
        return cls(**{part: root / part for part in _XDG_DEFAULTS})

    def prepare(self) -> Self:
        """Create the directories, mode 0700; does nothing where they exist.

        Raises:
            EnvironmentProblem: One cannot be created.
        """
        directories = (
            *(self.data, self.config, self.state, self.cache),
            *(self.engagements, self.runs, self.inbox, self.turnstile),
        )
        for directory in directories:
            try:
                make_directory(directory)
            except OSError as error:
                raise EnvironmentProblem(
                    f"The directory {directory} cannot be created: {error.strerror}.",
                    fix="Point FATHOM_HOME at a directory you can write to.",
                ) from error
        return self

    @property
    def database(self) -> Path:
        """The ledger: projections of the journals, never the only copy of anything."""
        return self.data / "fathom.duckdb"

    @property
    def engagements(self) -> Path:
        """One directory for each engagement."""
        return self.data / "engagements"

    @property
    def runs(self) -> Path:
        """One directory for each run."""
        return self.data / "runs"

    @property
    def inbox(self) -> Path:
        """Requests to the agent, renamed into place."""
        return self.state / "inbox"

    @property
    def turnstile(self) -> Path:
        """The lock files that processes queue at."""
        return self.state / "locks"

    @property
    def agent_lock(self) -> Path:
        """Locked by the one agent of this home for as long as it lives."""
        return self.state / "agent.lock"

    @property
    def agent_file(self) -> Path:
        """The agent's heartbeat: {pid, started_at, run, stage, at}."""
        return self.state / "agent.json"

    @property
    def agent_log(self) -> Path:
        """What a detached agent writes to stdout and stderr."""
        return self.state / "agent.log"

    def engagement(self, slug: str) -> Path:
        """Return an engagement's directory; it need not exist.

        Raises:
            UsageError: The slug is not a safe name.
        """
        return self.engagements / check_slug(slug)

    def run(self, run_id: str) -> Path:
        """Return a run's directory; it need not exist.

        Raises:
            UsageError: The id has not the form `<slug>-<n>`.
        """
        return self.runs / check_run_id(run_id)

    def engagement_journal(self, slug: str) -> Path:
        """Return the journal that only holders of the engagement's lock append to."""
        return self.engagement(slug) / "journal.jsonl"

    def run_journal(self, run_id: str) -> Path:
        """Return the journal that only the agent appends to."""
        return self.run(run_id) / "journal.jsonl"


def _xdg(env: Mapping[str, str], variable: str, default: str) -> Path:
    given = env.get(variable, "")
    if given.startswith("/"):
        return Path(given) / "fathom"
    home = env.get("HOME")
    if not home:
        raise EnvironmentProblem(
            f"Neither FATHOM_HOME nor {variable} nor HOME is set, so there is no place for state.",
            fix="Set FATHOM_HOME to a directory you can write to.",
        )
    return Path(home) / default / "fathom"
