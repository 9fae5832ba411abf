"""The tables as files that other programs read."""

from pathlib import Path

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.store.database import Database, Session
from fathom_tui.store.private import FILE_MODE, make_directory
from fathom_tui.store.tables import COLUMNS

OPTIONS = {
    "parquet": "FORMAT parquet",
    "csv": "FORMAT csv, HEADER",
    "jsonl": "FORMAT json",
}
"""Format, which is also the file's ending, to DuckDB's options."""


def export(database: Database, directory: Path, fmt: str) -> list[Path]:
    """Write every table to `<directory>/<table>.<fmt>`, replacing files of that name.

    Raises:
        UsageError: The format is unknown or `directory` is a file.
        EnvironmentProblem: The directory cannot be made.
    """
    if fmt not in OPTIONS:
        raise UsageError(
            f"{fmt!r} is not a format to export to.", fix=f"One of: {', '.join(OPTIONS)}."
        )
    directory = directory.absolute()
    _make(directory)
    return database.transact(lambda session: _write(session, directory, fmt))


def _make(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise UsageError(
            f"{directory} is a file; an export writes a directory.", fix="Choose another name."
        )
    try:
        make_directory(directory)
    except OSError as error:
        raise EnvironmentProblem(
            f"The directory {directory} cannot be made: {error.strerror}.",
            fix="Choose a directory you can write to.",
        ) from error


def _write(session: Session, directory: Path, fmt: str) -> list[Path]:
    files = []
    for table in COLUMNS:
        path = directory / f"{table}.{fmt}"
        quoted = str(path).replace("'", "''")
        session.connection.execute(f"COPY {table} TO '{quoted}' ({OPTIONS[fmt]})")
        path.chmod(FILE_MODE)
        files.append(path)
    return files
