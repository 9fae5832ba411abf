"""Every error a person can meet, and the exit code each one ends with.

    FathomError                 1  a gate refused, or worse than asked
    ├── GateRefused             1
    ├── UsageError              2  the request cannot be carried out as written
    │   ├── DatasetError        2  a data file is missing, empty or malformed
    │   └── NotFound            2  no such engagement, run or artifact
    ├── CouldNotCheck           3  the answer is unknown, which is not the same as bad
    ├── EnvironmentProblem      4  a library, disk space, a device or a server is missing
    │   └── StageCrashed        4  a child process ended without an answer
    ├── StoreError              5  the ledger is locked, newer than this program, or corrupt
    └── Interrupted           130  the user or a signal ended the work

A message says what happened, with the values; `fix` says what to do, as one command
where there is one.
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What every `fathom` command ends with (`health` follows Nagios instead)."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    COULD_NOT_CHECK = 3
    ENVIRONMENT = 4
    STORE = 5
    INTERRUPTED = 130
    TERMINATED = 143


class FathomError(Exception):
    """Something the user can understand and act on; printed without a traceback."""

    exit_code: ClassVar[ExitCode] = ExitCode.REFUSED

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n{self.fix}" if self.fix else self.message


class GateRefused(FathomError):
    """A gate between two stages said no."""


class UsageError(FathomError):
    """The request cannot be carried out as it was written."""

    exit_code = ExitCode.USAGE


class DatasetError(UsageError):
    """A data file is missing, empty or malformed."""


class NotFound(UsageError):
    """No engagement, run or artifact has that name."""


class CouldNotCheck(FathomError):
    """The answer is unknown."""

    exit_code = ExitCode.COULD_NOT_CHECK


class EnvironmentProblem(FathomError):
    """This machine lacks something the work needs."""

    exit_code = ExitCode.ENVIRONMENT


class StageCrashed(EnvironmentProblem):
    """A stage's child process ended without reporting a result."""


class StoreError(FathomError):
    """The ledger cannot be used: locked, newer than this program, or corrupt."""

    exit_code = ExitCode.STORE


class Interrupted(FathomError):
    """The user or a signal ended the work."""

    exit_code = ExitCode.INTERRUPTED
