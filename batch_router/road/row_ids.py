"""Whose the rows of a shard are: a line of its row ids for each of them, in their order."""

from collections.abc import Iterator

import msgspec

from ..exceptions import DamagedObjectError
from ..state.items import Shard
from ..storage import Storage


class RowId(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A line, `[row, custom_id]` or `[row, custom_id, schema]`.

    Attributes:
        row: its number in the batch.
        custom_id: the user's name for it.
        schema: the number of the JSON schema that its answer was asked to fit, in the batch's list of them; None: none.
    """

    row: int
    custom_id: str
    schema: int | None = None


read_row_id = msgspec.json.Decoder(RowId).decode


def read_row_ids(storage: Storage, shard: Shard) -> Iterator[RowId]:
    """The row ids of a shard, in order: as many as it has rows.

    Raises:
        DamagedObjectError: they are not those that were written.
    """
    row = 0
    with storage.open(shard.row_ids) as lines:
        for row, line in enumerate(lines, 1):
            try:
                row_id = read_row_id(line)
            except ValueError as error:
                raise DamagedObjectError(f"{shard.row_ids}: line {row} is not what was written: {error}") from error
            if row > shard.rows:
                break
            yield row_id
    if row != shard.rows:
        more = "more" if row > shard.rows else row
        raise DamagedObjectError(f"{shard.row_ids}: the ids of {shard.rows} rows were written, {more} are there")
