"""DuckDB without its Python layer; import this module inside functions only.

The package `duckdb` wraps its compiled module `_duckdb` in a relational interface and reads
its own metadata: 95 ms to import, of which the store uses nothing (`_duckdb` alone: 18 ms).
`fathom runs --json` has to answer within 180 ms.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
else:
    try:
        import _duckdb as duckdb
    except ImportError:
        # Its name is DuckDB's own business; the package is always there.
        import duckdb  # noqa: TID253 - this module is imported inside functions only

__all__ = ["duckdb"]
