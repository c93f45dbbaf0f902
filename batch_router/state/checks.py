"""What the store holds is checked when it is read: it may be old, broken, or written by another program.

Ids and names become paths, queues, variables and options of programs. So an item that batch_router could not have
written is refused as a whole, and only that item: all others go on.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

import msgspec

from ..exceptions import CorruptItemError, FileOperationError, SchemaError, StoreUnavailableError
from ..security.logs import get_logger
from ..security.names import BATCH_ID, CREDENTIAL, LABEL, PROVIDER, QUEUE
from ..security.paths import is_of_batch
from ..security.printable import printable
from .base import Hint, Store
from .items import SCHEMA, AnyItem, Batch, Item, Notice, Shard, batch_id_of

log = get_logger(__name__)

#: An item that could not be read this often is set aside: a worker of a newer version may know what it holds.
TRIES: Final = 3
#: Of a batch: the store looks at each of them in one call.
MOST_SHARDS: Final = 200_000

_ITEM_ID = re.compile(rf"{BATCH_ID.pattern}(?:\.n?(?:0|[1-9][0-9]{{0,5}}))?")
# None of ours comes near: integers that JSON readers hold exactly, and seconds since 1970 up to the year 9999.
_LARGEST, _LATEST = 2**53, 253_402_300_799.0
_SHOWN = 100
_OPTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def load_item(item_id: str, fields: Mapping[str, str]) -> AnyItem:
    """The item that a hash holds.

    Raises:
        SchemaError: another version wrote it.
        CorruptItemError: batch_router could not have written it.
    """
    try:
        facts = {name: msgspec.json.decode(value) for name, value in fields.items()}
        if isinstance(schema := facts.get("schema", 1), int) and schema != SCHEMA:
            raise SchemaError(item_id, newer=schema > SCHEMA)
        item: AnyItem = msgspec.convert(facts, AnyItem)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise corrupt(item_id, str(error)) from None
    for mistake in _mistakes(item_id, item, facts):
        raise corrupt(item_id, mistake)
    return item


def load_hint(item_id: str, *fields: str | None) -> Hint:
    """What a message about an item needs: the fields of a `Hint` after its id, each as JSON.

    Raises:
        CorruptItemError: batch_router could not have written it.
    """
    try:
        values = [msgspec.json.decode(value or "null") for value in fields]
        hint = msgspec.convert((item_id, *values), Hint)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise corrupt(item_id, str(error)) from None
    if hint.version < 1 or (hint.state.is_final and batch_id_of(item_id) != item_id):
        raise corrupt(item_id, "no step waits for it")
    if not (_ITEM_ID.fullmatch(item_id) and PROVIDER.fullmatch(hint.provider) and QUEUE.fullmatch(hint.queue or "io")):
        raise corrupt(item_id, "its id, provider or queue is none")
    return hint


@contextmanager
def passed_over() -> Iterator[None]:
    """For a walk through items: one that is corrupt, or whose files fail, is passed over, and a warning names it."""
    try:
        yield
    except (CorruptItemError, FileOperationError) as error:
        log.warning("action=passed_over error=%s", error)


def note_unread(store: Store, item_id: str, error: CorruptItemError) -> None:
    """Have an item set aside in the end that workers cannot take on, for it or its batch cannot be read."""
    reason = error.why if error.item_id == item_id else f"{error.item_id}: {error.why}"
    with suppress(StoreUnavailableError):  # another try notes it
        store.suspect(item_id, reason)


def corrupt(item_id: str, why: str) -> CorruptItemError:
    """The error about an item that batch_router could not have written."""
    return CorruptItemError(printable(item_id, _SHOWN), shown(why))


def shown(text: str) -> str:
    """What the store holds, for one line of a log or a terminal."""
    return printable(text, 2 * _SHOWN)


def _mistakes(item_id: str, item: AnyItem, stored: Collection[str]) -> Iterator[str]:
    """What is wrong with an item, the gravest first."""
    if not _is_its_id(item_id, item):
        yield "its id is another one's"
    elif not PROVIDER.fullmatch(item.provider):
        yield "provider is no name"
    elif item.queue is not None and not QUEUE.fullmatch(item.queue):
        yield "queue is no name"
    elif item.credential is not None and not CREDENTIAL.fullmatch(item.credential):
        yield "credential is no name of a key"
    elif foreign := _foreign_names(item_id, item):
        yield f"{foreign[0]!r} is no object of its batch"
    yield from _wrong_numbers(item, stored)
    yield from _mistakes_of_kind(item)


def _is_its_id(item_id: str, item: AnyItem) -> bool:
    number = item_id[len(batch_id_of(item_id)) :]
    kind = Batch if not number else Notice if number.startswith(".n") else Shard
    return item.id == item_id and _ITEM_ID.fullmatch(item_id) is not None and isinstance(item, kind)


def _foreign_names(item_id: str, item: AnyItem) -> list[str]:
    """The names of objects that do not lie in the folder of the item's batch."""
    return [name for name in _names(item) if not is_of_batch(name, item.provider, batch_id_of(item_id))]


def _names(item: AnyItem) -> list[str]:
    if isinstance(item, Batch):
        names = [item.submission, item.input.stored, item.manifest, item.report]
    elif isinstance(item, Notice):
        names = []
    else:
        names = [item.requests, item.row_ids, item.schemas, *(each.name for each in item.answers)]
        if item.part is not None:
            names += [item.part.name, item.part.row_ids]
    return [name for name in names if name is not None]


def _wrong_numbers(item: Item, stored: Collection[str]) -> Iterator[str]:
    """Among the fields that are stored: the defaults of all others are ours."""
    for field in stored:
        value = getattr(item, field, None)
        if isinstance(value, str) or value is None or field == "engine_options":
            continue
        if not all(map(_in_range, _numbers(value))):
            yield f"{field} is out of range"


def _in_range(number: float) -> bool:
    return 0 <= number <= (_LATEST if isinstance(number, float) else _LARGEST)


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, msgspec.Struct):
        for each in msgspec.structs.astuple(value):
            yield from _numbers(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from _numbers(each)


def _mistakes_of_kind(item: AnyItem) -> Iterator[str]:
    if isinstance(item, Batch):
        yield from _batch_mistakes(item)
    elif item.batch != batch_id_of(item.id):
        yield "batch is another one"
    elif isinstance(item, Shard):
        yield from _shard_mistakes(item)


def _batch_mistakes(batch: Batch) -> Iterator[str]:
    if max(batch.shards, batch.open, batch.notices) > MOST_SHARDS:
        yield f"it has more than {MOST_SHARDS:,} shards or notices"


def _shard_mistakes(shard: Shard) -> Iterator[str]:
    if not LABEL.fullmatch(shard.label):
        yield "label is none"
    if not all(map(_OPTION.fullmatch, shard.engine_options)):
        yield "engine_options have a name that is none"
