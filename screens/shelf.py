"""The catalog as the screens hold it: read again only when the user's own rows change."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Loaded by the first look, after the first frame.
    from fathom_tui.catalog import Catalog


class Shelf:
    """The catalog with the user's own rows.

    Args:
        config: The config directory, where the user's file is.
    """

    def __init__(self, config: Path) -> None:
        self._config = config
        self._stamp: object = ()
        self._held: Catalog | None = None

    def look(self) -> "Catalog":
        """Return the catalog; the same object for as long as the file is the same.

        Raises:
            UsageError: A row of the user's cannot be used; it names file, line and key.
        """
        from fathom_tui import catalog
        from fathom_tui.sources import overlay

        stamp = _stamp(self._config / overlay.FILE)
        if self._held is None or stamp != self._stamp:
            self._held = catalog.load(overlay.read(self._config))
            self._stamp = stamp
        return self._held


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
