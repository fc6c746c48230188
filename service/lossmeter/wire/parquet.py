"""Parquet, of which each page is looked at before any is unfolded."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet

from lossmeter.errors import TooLarge
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.pages import pages
from lossmeter.wire.tables import ROWS, Columns, check_present, nothing_of, tensors_of

# Bytes of one value in memory; of strings and of nulls what their place takes.
VALUE_BYTES = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT96": 12}
PLACE_BYTES = 8


class ParquetRows:
    """A Parquet file.

    Args:
        data: The file.
        limit: How many bytes the columns that are read may unfold to.
    """

    def __init__(self, data: memoryview, limit: int) -> None:
        self._data = data
        self._limit = limit
        self._buffer = pa.py_buffer(data)
        with self._open([]) as file:
            self._schema: pa.Schema = file.schema_arrow
            self._metadata = file.metadata
        self.names: list[str] = list(self._schema.names)

    def _open(self, dictionaries: list[str]) -> pyarrow.parquet.ParquetFile:
        return pyarrow.parquet.ParquetFile(
            pa.BufferReader(self._buffer), read_dictionary=dictionaries, pre_buffer=False
        )

    @property
    def count(self) -> int:
        """How many rows there are."""
        return int(self._metadata.num_rows)

    def blocks(self, columns: Columns) -> Iterator[Tensors]:
        wanted = check_present(columns, self.names)
        self._check(set(wanted))
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

    def _check(self, wanted: set[str]) -> None:
        """Refuse what unfolds to too much: Arrow believes what a page says of itself."""
        groups = (self._metadata.row_group(at) for at in range(self._metadata.num_row_groups))
        chunks = (group.column(at) for group in groups for at in range(group.num_columns))
        unfolds = 0
        for chunk in chunks:
            path = f"{chunk.path_in_schema}."
            if chunk.num_values and any(path.startswith(f"{name}.") for name in wanted):
                for size in _sizes(chunk, self._data):
                    unfolds += size
                    if unfolds > self._limit:
                        raise TooLarge(
                            "the columns unfold to too much", limit=self._limit, actual=unfolds
                        )


def _sizes(chunk: pyarrow.parquet.ColumnChunkMetaData, data: memoryview) -> Iterator[int]:
    """Of each page of a column its bytes, or those of the values in it where these are more."""
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    width = VALUE_BYTES.get(chunk.physical_type, PLACE_BYTES)
    for page in pages(data[start : start + chunk.total_compressed_size]):
        yield max(page.unfolded_bytes, page.values * width)
