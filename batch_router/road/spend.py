"""What each batch cost, in records of their own: a purge leaves them.

    spend/<day>/<batch>-<submission>.json

The day (UTC) is that on which the batch was submitted, and each submission has a name of its own. So a batch whose end
is written again has one record, and an id that is used again after a purge has two.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from heapq import nlargest
from typing import Final, NamedTuple

import msgspec

from ..core import Tokens, add_up
from ..core.times import iso_time
from ..state.items import Batch, Shard
from ..storage import Storage
from .costs import cost_of
from .records import read_record

FOLDER: Final = "spend"
_SUFFIX = "-submission.json"
# Records that an estimate learns from: those of the last batches.
_MOST_LEARNED = 300


class ModelSpend(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch spent on one model.

    Attributes:
        rows: how many results there are.
        sent: how many rows were in jobs; those that were sent again count again.
        request_bytes: of these, as they were sent.
        cost: in US dollars; None: not all of it is known.
        known_cost: the part of it that is known.
    """

    model: str
    rows: int
    sent: int
    request_bytes: int
    tokens: Tokens
    cost: Decimal | None
    known_cost: Decimal


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch spent; times are ISO 8601 in UTC.

    Attributes:
        version: of this record; names are only added to it.
        credential: the name of the key; None: the workers' own.
    """

    version: int = 1
    batch_id: str
    provider: str
    credential: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    submitted_at: str
    ended_at: str
    models: tuple[ModelSpend, ...] = ()


def write_spend(storage: Storage, batch: Batch, shards: Sequence[Shard], ended_at: float) -> None:
    """Write the record of a batch that ends.

    Raises:
        FileOperationError: it cannot be written.
    """
    submitted_at = iso_time(min((shard.submitted_at for shard in shards), default=batch.created_at))
    spend = Spend(
        batch_id=batch.id,
        provider=batch.provider,
        credential=batch.credential,
        metadata=batch.metadata,
        submitted_at=submitted_at,
        ended_at=iso_time(ended_at),
        models=tuple(_by_model(shards)),
    )
    submission = batch.submission.rpartition("/")[2].removesuffix(_SUFFIX)
    day, _, _ = submitted_at.partition("T")
    with storage.write(f"{FOLDER}/{day}/{batch.id}-{submission}.json") as stream:
        stream.write(msgspec.json.encode(spend))


def _by_model(shards: Sequence[Shard]) -> Iterator[ModelSpend]:
    of_model: dict[str, list[Shard]] = defaultdict(list)
    for shard in shards:
        of_model[shard.model].append(shard)
    for model, own in of_model.items():
        cost = cost_of(own)
        yield ModelSpend(
            model=model,
            rows=sum(shard.rows - shard.retried for shard in own),
            sent=sum(shard.rows for shard in own),
            request_bytes=sum(shard.size for shard in own),
            tokens=add_up(shard.part.tokens for shard in own if shard.part),
            cost=cost.total,
            known_cost=cost.known,
        )


def days_of(storage: Storage, since: str = "", until: str = "9") -> Iterator[tuple[str, str]]:
    """`(day, name)` of each record of these days, the first and the last one included, in any order."""
    for found in storage.list(FOLDER):
        day = found.name.split("/")[1]
        if since <= day <= until:
            yield day, found.name


def read_spend(storage: Storage, name: str) -> Spend:
    """A record.

    Raises:
        FileOperationError: it cannot be read.
        CorruptItemError: it is none that batch_router could have written.
    """
    return read_record(storage, name, name, Spend)


class Learned(NamedTuple):
    """What earlier batches of a model tell of the next one.

    Attributes:
        input_per_byte: tokens of the input for each byte of requests.
        output_per_answer: tokens of an answer.
    """

    input_per_byte: float
    output_per_answer: float


def learn(storage: Storage, provider: str) -> dict[str, Learned]:
    """What the last batches tell of each of a provider's models.

    Raises:
        FileOperationError: a record cannot be read.
        CorruptItemError: a record is none that batch_router could have written.
    """
    spent: dict[str, list[ModelSpend]] = defaultdict(list)
    for _, name in nlargest(_MOST_LEARNED, days_of(storage)):
        spend = read_spend(storage, name)
        for each in spend.models if spend.provider == provider else ():
            if each.tokens.answers:
                spent[each.model].append(each)
    return {model: _learned(each) for model, each in spent.items()}


def _learned(spent: list[ModelSpend]) -> Learned:
    answers = sum(each.tokens.answers for each in spent)
    answered_bytes = sum(each.request_bytes * each.tokens.answers / each.sent for each in spent)
    return Learned(
        input_per_byte=sum(each.tokens.input_tokens for each in spent) / answered_bytes,
        output_per_answer=sum(each.tokens.output_tokens for each in spent) / answers,
    )
