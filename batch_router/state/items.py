"""The records of the store: a batch, a shard, and the facts about them.

In Redis an item is one hash; each field holds the JSON of the attribute of the same name. A field that this version
does not know is left alone, so that old and new workers can share a store.
"""

from typing import Any

import msgspec

from ..core import BatchStatus, Endpoint
from ..core.jobs import EngineOption, Failure, Job, Progress
from ..exceptions import SchemaError
from .table import State

#: Version of this layout. Raise it when an older worker would do harm to an item: it leaves items of a newer one alone.
SCHEMA = 1


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a batch as they were when it was submitted.

    Attributes:
        path: absolute path of a JSONL file that every worker can read.
        size: bytes.
        hash: of all of them, as `jsonl.hash_file` gives it.
    """

    path: str
    size: int
    hash: str


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """Written before a job is created: from here on the provider may have one that we do not know.

    Attributes:
        at: when, by the store's clock (seconds since 1970).
        late_until: until when a request sent by then could still arrive.
    """

    at: float
    late_until: float


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What every item has.

    Attributes:
        version: grows with every change of hands; the number that a claim returns is the **fence**.
        queue: the Celery queue of all its steps; None: the provider's, or each step's own.
        credential: the name of the key that its provider is called with; None: the workers' own.
        claimed_by: who works on it, or did when it fell silent.
        cancel: the user wants it to end.
        attempts: failed tries of the present step.
        crashes: claims in a row that were never committed.
        error: what holds up the item at present; gone when a step succeeds.
        failure: what ended it, or took the shard off the way to its answers.
        retry_at: when the next try is due, if the last one failed.
    """

    id: str
    state: State
    version: int
    provider: str
    queue: str | None = None
    credential: str | None = None
    schema: int = SCHEMA
    created_at: float = 0
    updated_at: float = 0
    claimed_by: str | None = None
    cancel: bool = False
    attempts: int = 0
    crashes: int = 0
    error: Failure | None = None
    failure: Failure | None = None
    retry_at: float | None = None

    @property
    def account(self) -> str:
        """Whom the provider takes the item's calls to be from: what it limits is limited for all of them."""
        return f"{self.provider}/{self.credential or ''}"


class Batch(Item, frozen=True, kw_only=True):
    """A batch.

    Attributes:
        model: the model of the rows that name none.
        submission: storage name of the options (they may hold a prompt, so they are not in here).
        content: hash of rows, options and provider: whether another submission with its key is the same.
        timeout: seconds from its submission until it is cancelled; None: never.
        rows: how many requests; None until they are counted.
        shards: how many shards were ever made; they are named `<batch id>.<number>`.
        open: how many of them have not ended.
        manifest: storage name of the manifest, once there is one.
        dropped: what its requests asked for and the provider does not take, by name, with `unsupported="drop"`.
        report: storage name of the list of refused rows, if any were.
    """

    input: InputFile
    submission: str
    content: str = ""
    model: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    timeout: float | None = None
    rows: int | None = None
    shards: int = 0
    open: int = 0
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    manifest: str | None = None
    report: str | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one shard.

    Attributes:
        name: storage name of the results, one line per request in input order.
        row_ids: storage name of their ids, where some of the shard's rows went on to another shard.
        unexpected: answers whose row is not ours, or was answered before; `answers` keeps them.
        repaired: answers that were not valid JSON and had to be read leniently.
    """

    name: str
    row_ids: str | None = None
    succeeded: int = 0
    errored: int = 0
    cancelled: int = 0
    expired: int = 0
    unexpected: int = 0
    repaired: int = 0


class Shard(Item, frozen=True, kw_only=True):
    """A slice of a batch that makes one job at the provider.

    Attributes:
        batch: id of its batch.
        token: names the job at the provider; every wire row id starts with it.
        endpoint: what its requests ask for.
        rows: how many requests.
        first_row: the batch's row number of its first request.
        requests: storage name of the rows in the provider's format.
        row_ids: storage name of `[row number in the batch, custom_id]` lines in the same order.
        round: how often creating was begun anew, after an attempt of which nothing came.
        upload: the provider's name of the uploaded file.
        uploads: how often sending the rows was begun.
        retries_left: how often rows that fail for a passing reason may be sent again.
        retried: how many of its rows went on to a follow-up shard; their results are there.
        engine_options: of the batch, for a job that runs in the worker.
        progress: how far such a job is, while it runs.
        polls: how often the job was looked at.
        queue_waits: how often the provider had no room for the job's tokens.
        cancel_sent: whether the provider was asked to cancel.
        answers: storage name of what the provider returned.
        answers_size: its bytes.
        doubts: how often the answers looked cut short.
        keep_remote: whether files at the provider stay there.
        left_behind: why files at the provider could not be deleted.
    """

    batch: str
    token: str
    model: str
    endpoint: Endpoint = Endpoint.CHAT
    rows: int
    size: int
    first_row: int
    requests: str
    row_ids: str
    retries_left: int = 0
    retried: int = 0
    round: int = 0
    upload: str | None = None
    uploads: int = 0
    intent: Intent | None = None
    job: Job | None = None
    engine_options: dict[str, EngineOption] = msgspec.field(default_factory=dict)
    progress: Progress | None = None
    polls: int = 0
    queue_waits: int = 0
    cancel_sent: bool = False
    answers: str | None = None
    answers_size: int = 0
    doubts: int = 0
    part: Part | None = None
    keep_remote: bool = False
    left_behind: Failure | None = None

    @property
    def number(self) -> int:
        """Its place among the shards of its batch."""
        return int(self.id.rpartition(".")[2])

    @property
    def was_cancelled(self) -> bool:
        """Whether it was cancelled: by the user before it had a job, or at the provider, by anyone."""
        return self.cancel if self.job is None else self.job.status is BatchStatus.CANCELLED


def dump_fields(facts: dict[str, Any]) -> dict[str, str]:
    """Facts as the hash holds them."""
    return {name: msgspec.json.encode(value).decode() for name, value in facts.items()}


def load_item(fields: dict[str, str]) -> Batch | Shard:
    """The item that a hash holds.

    Raises:
        SchemaError: a newer version wrote it.
    """
    facts = {name: msgspec.json.decode(value) for name, value in fields.items()}
    if facts.get("schema", 1) > SCHEMA:
        raise SchemaError(facts["id"])
    kind: type[Batch | Shard] = Shard if "batch" in facts else Batch
    return msgspec.convert(facts, kind)


def shard_id(batch_id: str, number: int) -> str:
    """The id of a batch's shard; a batch id has no dot."""
    return f"{batch_id}.{number}"


def batch_id_of(item_id: str) -> str:
    """The batch that an item belongs to, or is."""
    return item_id.partition(".")[0]
