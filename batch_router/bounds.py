"""How much of anything is taken from outside. Each bound is a setting, and what goes beyond it is told its name."""

from typing import Annotated

from msgspec import Meta

from .settings import PREFIX, Section

_Bytes = Annotated[int, Meta(ge=1024)]
_Count = Annotated[int, Meta(ge=1)]


class Bounds(Section, frozen=True, kw_only=True):
    """The field `x` is the variable `BATCH_ROUTER_X`.

    Attributes:
        max_input_bytes: of an input file.
        max_rows: of a batch.
        max_row_bytes: of a row, as it comes in.
        max_values: JSON values in a row: what it takes in memory depends on their number.
        max_metadata_bytes: of a batch's metadata as JSON; `status` and each list of batches carry them.
        max_engine_options_bytes: of a batch's engine options as JSON; each of its shards carries them.
        max_shards: of a batch; all of them are made in one call of the store.
        max_message_bytes: of a Celery message, such as one that brings the rows of a batch.
        max_answer_bytes: of the answer to one row.
        max_answer_values: JSON values in it; a token with 20 log probabilities has 170.
        max_answers_bytes: of all answers to a job.
    """

    max_input_bytes: _Bytes = 100_000_000_000
    max_rows: _Count = 10_000_000
    max_row_bytes: _Bytes = 64 << 20
    max_values: _Count = 1_000_000
    max_metadata_bytes: _Bytes = 16 << 10
    max_engine_options_bytes: _Bytes = 16 << 10
    max_shards: _Count = 10_000
    max_message_bytes: _Bytes = 16 << 20
    max_answer_bytes: _Bytes = 64 << 20
    max_answer_values: _Count = 4_000_000
    max_answers_bytes: _Bytes = 50_000_000_000


def beyond(bound: str, limit: int) -> str:
    """What to say of something larger: "more than 10,000 (BATCH_ROUTER_MAX_SHARDS)".

    Args:
        bound: the field of `Bounds`.
        limit: its value.
    """
    return f"more than {limit:,} ({PREFIX}{bound.upper()})"
