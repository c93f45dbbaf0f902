"""Records that lie in storage as JSON: the options of a batch, its report, its manifest."""

from typing import TypeVar

import msgspec

from ..state.checks import corrupt
from ..storage import Storage

T = TypeVar("T", bound=msgspec.Struct)

# Bytes; the manifest of a batch of 100,000 shards has a quarter of it.
_LARGEST = 1 << 28


def read_record(storage: Storage, item_id: str, name: str, kind: type[T]) -> T:
    """A record of an item.

    Raises:
        FileOperationError: it cannot be read.
        CorruptItemError: it is none that batch_router could have written.
    """
    with storage.open(name) as stream:
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise corrupt(item_id, f"{name} has more than {_LARGEST:,} bytes")
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise corrupt(item_id, f"{name}: {error}") from None
