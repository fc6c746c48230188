"""CSV, read in blocks of whole lines."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv

from lossmeter.errors import TooLarge
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.arrow import Readable
from lossmeter.wire.tables import Columns, check_present, tensors_of

BLOCK_BYTES = 2**20


class CsvRows:
    """Lines of numbers under a line of names.

    The numbers come without a dtype, like JSON's: they are float64.

    Args:
        file: Where they are read from.
        whole: Inputs whose whole numbers are integers: masks, and what names groups.
    """

    def __init__(self, file: Readable, whole: frozenset[str]) -> None:
        self._blocks = _lines(file)
        self._whole = whole
        self._first = next(self._blocks, b"")
        self._seen: pa.Schema = pyarrow.csv.read_csv(pa.py_buffer(self._first)).schema
        self.names: list[str] = list(self._seen.names)

    def blocks(self, columns: Columns) -> Iterator[Tensors]:
        wanted = check_present(columns, self.names)
        whole = {name for given in self._whole for name in columns.get(given, ())}
        convert = pyarrow.csv.ConvertOptions(
            column_types={name: self._type(name, whole) for name in wanted}, include_columns=wanted
        )
        yield from _tensors(self._first, None, convert, columns)
        for block in self._blocks:
            yield from _tensors(block, self.names, convert, columns)

    def _type(self, name: str, whole: set[str]) -> pa.DataType:
        """What the first lines show, but that fractions may follow whole numbers."""
        seen = self._seen.field(name).type
        number = pa.types.is_integer(seen) and name not in whole
        return pa.float64() if number or pa.types.is_null(seen) else seen


def _tensors(
    block: bytes, names: list[str] | None, convert: pyarrow.csv.ConvertOptions, columns: Columns
) -> Iterator[Tensors]:
    """The tensors of some lines, of which the first has the names where none are given."""
    table = pyarrow.csv.read_csv(
        pa.py_buffer(block),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=names),
        convert_options=convert,
    )
    for batch in table.combine_chunks().to_batches() or [_nothing(table.schema)]:
        yield tensors_of(batch, columns, plain=True)


def _nothing(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _lines(file: Readable) -> Iterator[bytes]:
    """Blocks that end where a line does."""
    left = b""
    while block := file.read(BLOCK_BYTES):
        found = left + block
        end = found.rfind(b"\n") + 1
        if not end and len(found) > BLOCK_BYTES:
            raise TooLarge("a line is too long", limit=BLOCK_BYTES, actual=len(found))
        if end:
            yield found[:end]
        left = found[end:]
    if left:
        yield left
