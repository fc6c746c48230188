"""Parquet, of which each page is looked at before any is unfolded."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet

from lossmeter.errors import TooLarge
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.pages import chunks, sizes
from lossmeter.wire.tables import ROWS, Columns, check_present, nothing_of, tensors_of


class ParquetRows:
    """A Parquet file.

    Args:
        data: The file.
        limit: How many bytes the columns that are read may unfold to.

    Attributes:
        count: How many rows there are.
    """

    def __init__(self, data: memoryview, limit: int) -> None:
        self.count, self._chunks = chunks(data)
        self._data = data
        self._limit = limit
        with self._open([]) as file:
            self._schema: pa.Schema = file.schema_arrow
        self.names: list[str] = list(self._schema.names)

    def _open(self, dictionaries: list[str]) -> pyarrow.parquet.ParquetFile:
        source = pa.BufferReader(pa.py_buffer(self._data))
        return pyarrow.parquet.ParquetFile(source, read_dictionary=dictionaries, pre_buffer=False)

    def blocks(self, columns: Columns) -> Iterator[Tensors]:
        wanted = check_present(columns, self.names)
        self._check(wanted)
        # Strings stay in their dictionary, for one long one may stand in every row.
        strings = [n for n in wanted if pa.types.is_string(self._schema.field(n).type)]
        some = False
        with self._open(strings) as file:
            for batch in file.iter_batches(batch_size=ROWS, columns=wanted, use_threads=False):
                some = True
                yield tensors_of(batch, columns)
        if not some:
            fields = [self._schema.field(name) for name in wanted]
            yield nothing_of(pa.schema(fields), columns)

    def _check(self, wanted: list[str]) -> None:
        """Refuse what unfolds to too much."""
        unfolds = 0
        for chunk in self._chunks:
            if chunk.values and any(f"{chunk.path}.".startswith(f"{name}.") for name in wanted):
                for size in sizes(chunk, self._data):
                    unfolds += size
                    if unfolds > self._limit:
                        raise TooLarge(
                            "the columns unfold to too much", limit=self._limit, actual=unfolds
                        )
