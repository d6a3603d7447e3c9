"""The ledger of an output: what became of every source object."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow.dataset as ds


class Ledger:
    """The rows of all runs at an output, one for each source object: the one that counts.

    Of several rows for one object, by other settings, weights or attempts, the one finished last counts.
    docs/ledger.md lists the columns.
    """

    def __init__(self, output: str | PathLike[str], *, settings: Mapping[str, Any] | None = None) -> None:
        """
        Args:
            output: the folder or `s3://bucket/prefix` of colouring runs.
            settings: how storage is reached, such as {"storage.endpoint": "http://localhost:9000"}.

        Raises:
            pipeline.errors.ConfigError: there is no ledger.
            pipeline.errors.StorageError: it cannot be listed.
        """
        from fiat_color.runs import _loaded
        from pipeline.ledger.stream import open_ledger
        from pipeline.storage import open_store

        storage = _loaded(None, {}, settings).storage
        self._parts = open_ledger(open_store(fspath(output), storage))

    def to_table(self) -> pa.Table:
        """All columns, by key. Raises pipeline.errors.DamagedLedgerPart for a part that cannot be read."""
        from pipeline.ledger.schema import LEDGER_SCHEMA
        from pipeline.ledger.stream import newest_images, rows_at

        places = newest_images(self._parts)
        tables = [table.select(LEDGER_SCHEMA.names) for table in rows_at(self._parts, places)]
        return pa.concat_tables([LEDGER_SCHEMA.empty_table(), *tables]).sort_by("key")

    def dataset(self) -> ds.Dataset:
        """The same as a pyarrow dataset, for engines that take one. Raises as `to_table`."""
        import pyarrow.dataset as ds

        return ds.dataset(self.to_table())

    def to_pandas(self) -> pd.DataFrame:
        """The same for pandas. Raises as `to_table`."""
        return self.to_table().to_pandas()

    def to_duckdb(self, connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyRelation:
        """The same as a relation of DuckDB, to be filtered and joined: `.filter("status = 'failed'")`.

        Args:
            connection: None: one of its own.

        Raises:
            pipeline.errors.ConfigError: duckdb is not installed. Others as `to_table`.
        """
        from pipeline.errors import ConfigError

        try:
            import duckdb
        except ModuleNotFoundError:
            raise ConfigError("DuckDB is not installed: pip install duckdb pytz") from None
        return (connection or duckdb.connect()).from_arrow(self.to_table())

    def __len__(self) -> int:
        """The number of source objects that have a row."""
        from pipeline.ledger.stream import newest_images

        return int(newest_images(self._parts).num_rows)
