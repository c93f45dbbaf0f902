"""Whose the rows of a shard are: a line of its row ids for each of them, in their order."""

import msgspec


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
