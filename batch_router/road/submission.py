"""What was submitted, as it lies in storage beside its rows: enough to know what was asked, and to cut it again."""

import hashlib
from typing import NamedTuple

import msgspec
from xxhash import xxh3_128

from ..core import Endpoint
from ..intake.options import Options
from ..providers import Limits
from ..settings import Settings
from ..state.events import Callback
from ..state.items import Batch, InputFile
from ..state.ledger import in_ledger
from ..state.table import State
from .callbacks import CallbackMessage

#: The way in which `Submission.content` hashes.
WAY = "2"
_DIGEST = 8  # bytes of a label


class Kind(NamedTuple):
    """What all rows of a shard have in common; `model` is empty where the provider takes one of its own."""

    model: str
    endpoint: Endpoint


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A submission.

    Attributes:
        batch_id: of the batch that it made.
        provider: where the rows go.
        options: as the user gave them; a schema in them is the user's own.
        input: the rows.
        submitted_at: by the store's clock, seconds since 1970.
        seed: random; what is derived from it (labels) is another deployment's by no chance.
        limits: of a shard. They are fixed here, so that a repeated `convert` cuts the same shards.
        callbacks: messages to the user's app at the end of the batch.
        retry_of: id of the batch whose failed rows these are.
    """

    batch_id: str
    provider: str
    options: Options
    input: InputFile
    submitted_at: float
    seed: str
    limits: Limits
    callbacks: tuple[CallbackMessage, ...] = ()
    retry_of: str | None = None

    @property
    def content(self) -> str:
        """The hash of rows, options and provider; what is in front of the colon names the way of hashing."""
        digest = xxh3_128(self.provider.encode())
        digest.update(msgspec.json.encode(self.options, order="deterministic"))
        digest.update(self.input.hash.encode())
        return f"{WAY}:{digest.hexdigest()}"

    def born(self, name: str, queue: str | None) -> Batch:
        """The batch as it begins.

        Args:
            name: storage name of this record.
            queue: of all its steps, where the provider has one for its model.
        """
        options = self.options
        config = options.generation_config
        return Batch(
            id=self.batch_id,
            state=State.QUEUED,
            provider=self.provider,
            queue=queue,
            credential=options.credential,
            model=options.model,
            metadata=options.metadata,
            timeout=options.timeout,
            input=self.input,
            submission=name,
            content=self.content,
            webhook=options.webhook is not None,
            max_cost=None if options.max_cost is None else in_ledger(options.max_cost),
            ends_over_budget=options.over_budget == "end",
            longest_answer=None if config is None else config.max_tokens,
            callbacks=tuple(Callback(task=each.task, on_error=each.on_error) for each in self.callbacks),
        )

    def label(self, kind: Kind, first_row: int) -> str:
        """The label of the shard of this kind that begins with the batch's row of this number.

        A `convert` that runs again gives each shard the label that it had, so a job that was paid for is found.
        """
        return _hash(self.seed, *kind, first_row, *self.limits)


def shard_limits(settings: Settings, limits: Limits) -> Limits:
    """The limits of a shard: the provider's own, or lower ones of this process."""
    return Limits(
        rows=min(limits.rows, settings.max_shard_rows or limits.rows),
        bytes=min(limits.bytes, settings.max_shard_bytes or limits.bytes),
    )


def follow_up_label(parent: str, number: int) -> str:
    """The label of a shard that takes rows over from another one, its follow-up of this number."""
    return _hash(parent, number)


def _hash(*parts: object) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=_DIGEST).hexdigest()
