"""The records of the store: a batch, a shard, a notice, and the facts about them.

In Redis an item is one hash; each field holds the JSON of the attribute of the same name, and an attribute at its
default may be missing. Workers leave fields that they do not know alone, so that old and new ones can share a store.
Facts that matter to an older worker are fields of their own, never parts of a nested record: it rewrites those whole.

The id of an item tells its kind and its batch:

    <batch>             a batch: 1 to 64 of `A-Z a-z 0-9 _ -`
    <batch>.<number>    a shard
    <batch>.n<number>   a notice
"""

from decimal import Decimal
from typing import ClassVar

import msgspec

from ..core import BatchStatus, Endpoint, ErrorReason, Tokens
from ..core.jobs import Account, EngineOption, Failure, Job, JobOptions, Progress, RefusedRow
from .events import Callback, Event
from .parts import Fetched, Part
from .table import State

#: Version of this layout. Raise it when an older worker would do harm to an item: workers leave items of others alone.
SCHEMA = 6


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a batch as they were when it was submitted.

    Attributes:
        stored: storage name of the rows.
        size: bytes.
        hash: of all of them, as `jsonl.HashingReader` gives it.
        source: what the user's file was called that they are copied from, for messages only: it is never opened again.
    """

    stored: str
    size: int
    hash: str
    source: str | None = None


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """Written before a job is created: from here on the provider may have one that we do not know.

    Attributes:
        at: when, by the store's clock (seconds since 1970).
        late_until: until when the request could still arrive.
        was_taken: whether the provider took the request and did not say what it made: there is a job, then.
        trouble: how the request failed, in words; "": its worker fell silent.
        closed_at: since when the uploaded rows are gone, so that a request that arrives later makes no job.
    """

    at: float
    late_until: float
    was_taken: bool = False
    trouble: str = ""
    closed_at: float | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every item has.

    Attributes:
        id: see the module; the store numbers the items that a commit spawns.
        version: grows with every change of hands; the number that a claim returns is the **fence**.
        queue: the Celery queue of all its steps; None: the provider's, or each step's own.
        credential: the name of the key that its provider is called with; None: the workers' own.
        claimed_by: the worker that has it, or had it when it fell silent.
        cancel: the user wants it to end.
        attempts: failed tries of the present step.
        crashes: claims in a row that no commit followed.
        error: what holds up the item at present; gone when a step succeeds.
        failure: what ended it, or took the shard off the way to its answers.
        held_since: since when it fails, or waits for what `error` says (seconds since 1970, by the store's clock).
        retry_at: when the next try is due, if the last one failed (seconds since 1970).
        epoch: in which it was last claimed or committed; see `store.lua`.
        doubt_since: the server may have forgotten changes of the item until then (seconds since 1970): a step looks
            at the provider before it creates anything. None: it has not, or a look showed what there is.
        last_doubt: the latest `doubt_since` of it, or of the item that made it; shards that it makes begin with it.
    """

    id: str = ""
    state: State
    version: int = 1
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
    held_since: float | None = None
    retry_at: float | None = None
    epoch: str = ""
    doubt_since: float | None = None
    last_doubt: float | None = None


class Batch(Item, frozen=True, kw_only=True, tag="batch"):
    """A batch.

    Attributes:
        model: the model of the rows that name none.
        storage: a mark of the storage that its rows lie in.
        submission: storage name of the options (they may hold a prompt, so they are not in here).
        content: hash of rows, options and provider as the user gave them: whether another submission with its key is
            the same. What is in front of the colon names the way of hashing.
        timeout: seconds from its submission until it is cancelled; None: never.
        rows: how many requests; None until they are counted.
        shards: how many shards were ever made.
        open: how many of them have not ended.
        manifest: storage name of the manifest, once there is one.
        dropped: what its requests asked for and the provider does not take, by name, with `unsupported="drop"`.
        adjusted: what of its schemas is sent in another way than they say it, by name: the provider has no other.
        report: storage name of the list of refused rows, if any were.
        ended_at: when it ended (seconds since 1970).
        result_counts: by the words of `ResultStatus`, once it has ended.
        reasons: why rows are errored, once it has ended.
        tokens: of its answers, once it has ended.
        cost: of these in US dollars; None: not all of it is known.
        known_cost: the part of it that is known.
        retired: whether its shards are no longer in the store: it ended long ago.
        erased: whether its payloads were deleted: it ended long ago.
        purging: whether all that is kept of it is being deleted.
        retried_as: id of the batch that its failed rows were sent again as.
        callbacks: what is sent at its end.
        webhook: whether its submission has the URL of a webhook.
        unattended: queues without a worker that a webhook told of.
        max_cost: what it may cost at most, in millionths of a dollar; None: its own budget has no limit.
        ends_over_budget: whether rows that a budget has no room for end; else they wait.
        longest_answer: how many tokens an answer may have, where its options say so.
        notices: how many notices were ever made.
        notified: whether those of its end were made.
        resumed: how often `resume` took it up after its end.
    """

    input: InputFile
    submission: str
    storage: str | None = None
    content: str = ""
    model: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    timeout: float | None = None
    rows: int | None = None
    shards: int = 0
    open: int = 0
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    adjusted: dict[str, int] = msgspec.field(default_factory=dict)
    manifest: str | None = None
    report: str | None = None
    ended_at: float | None = None
    result_counts: dict[str, int] = msgspec.field(default_factory=dict)
    reasons: tuple[ErrorReason, ...] = ()
    tokens: Tokens = Tokens()
    cost: Decimal | None = None
    known_cost: Decimal = Decimal(0)
    retired: bool = False
    erased: bool = False
    purging: bool = False
    retried_as: str | None = None
    callbacks: tuple[Callback, ...] = ()
    webhook: bool = False
    unattended: tuple[str, ...] = ()
    max_cost: int | None = None
    ends_over_budget: bool = False
    longest_answer: int | None = None
    notices: int = 0
    notified: bool = False
    resumed: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether it ended as its user wished: with results, neither cancelled nor out of its own time."""
        return self.state in (State.COMPLETED, State.EXPIRED) and self.failure is None


class Shard(Item, frozen=True, kw_only=True, tag="shard"):
    """A slice of a batch that makes one job at the provider.

    Attributes:
        batch: id of its batch.
        label: names the job at the provider; every wire row id starts with it.
        submitted_at: when its batch was submitted: no job of this label is older.
        endpoint: what its requests ask for; a text, so that the item can be read where the endpoint is not known.
        rows: how many requests.
        size: bytes of `requests`.
        first_row: the batch's row number of its first request.
        requests: storage name of the rows in the provider's format.
        row_ids: storage name of `[row number in the batch, custom_id]` lines in the same order; those of rows that ask
            for JSON have the number of a schema, too.
        schemas: storage name of the batch's schemas; None: no row asks for JSON.
        account: at the provider, as it was when the job was created; None: before that, or the job runs in the worker.
        round: how often creating began again, after an attempt that created no job.
        upload: the provider's name of the uploaded file.
        uploads: how often sending the rows was begun.
        retries_left: how often rows that fail for a passing reason may be sent again.
        invalid_left: how often rows whose answers do not fit may be asked again; None: they succeed.
        retried: how many of its rows went on to a follow-up shard; their results are there.
        engine_options: of the batch, for a job that runs in the worker.
        job_options: what the batch asks of its jobs.
        progress: how far such a job is, while it runs.
        run_for: seconds that it ran in workers, once it has ended.
        polls: how often a worker looked at the job.
        queue_waits: how often the provider had no room for the job's tokens.
        cancel_sent: whether the provider was asked to cancel.
        given_up: whether it does not wait for the operator any more: nothing that is undecided about it will be.
        answers: what the provider returned, in the order in which it is read.
        looks: how often a worker looked again for answers that the job promises and that were not there.
        absent_since: since when the provider says that it has no such job (seconds since 1970, by the store's clock).
        refetches: how often the answers looked cut short and were fetched again.
        gap: why answers are not there that the job promises; None: it kept its promise, as far as is known.
        lost: how many they are.
        unfetched: whether its job has answers that were not fetched, or may have: `doctor --orphans` shows the job.
        refused: the rows for which the provider refused the job.
        refusals: how often the provider refused a job for some of these rows.
        resend: in how many follow-up shards the rows go again that no job has answered and none was refused for.
        alone: how often in a row the provider had no room for the job's tokens while no other job of ours was there.
        keep_remote: whether files at the provider stay there.
        left_behind: why files at the provider could not be deleted.
        booked: what it takes of each line of the ledger.
        waits_for: the line that has no room for it.
    """

    #: A batch ends when none of the shards that count is open.
    counts_as_open: ClassVar[bool] = True

    batch: str
    label: str
    submitted_at: float = 0
    model: str
    endpoint: str = Endpoint.CHAT
    rows: int
    size: int
    first_row: int
    requests: str
    row_ids: str
    schemas: str | None = None
    retries_left: int = 0
    invalid_left: int | None = None
    retried: int = 0
    round: int = 0
    upload: str | None = None
    uploads: int = 0
    account: Account | None = None
    intent: Intent | None = None
    job: Job | None = None
    engine_options: dict[str, EngineOption] = msgspec.field(default_factory=dict)
    job_options: JobOptions = JobOptions()
    progress: Progress | None = None
    run_for: float = 0
    polls: int = 0
    queue_waits: int = 0
    cancel_sent: bool = False
    given_up: bool = False
    answers: tuple[Fetched, ...] = ()
    looks: int = 0
    absent_since: float | None = None
    refetches: int = 0
    gap: str | None = None
    lost: int = 0
    unfetched: bool = False
    refused: tuple[RefusedRow, ...] = ()
    refusals: int = 0
    resend: int = 0
    alone: int = 0
    part: Part | None = None
    keep_remote: bool = False
    left_behind: Failure | None = None
    booked: dict[str, int] = msgspec.field(default_factory=dict)
    waits_for: str | None = None

    @property
    def number(self) -> int:
        """Its place among the shards of its batch."""
        return int(self.id.rpartition(".")[2])

    @property
    def was_cancelled(self) -> bool:
        """Whether it was cancelled: by the user before it had a job, or at the provider, by anyone."""
        return self.cancel if self.job is None else self.job.status is BatchStatus.CANCELLED


class Notice(Item, frozen=True, kw_only=True, tag="notice"):
    """A message to the user's app about his batch. It ends without any effect on the batch, and is deleted with it.

    Attributes:
        batch: id of its batch.
        callback: the place of its callback among those of the batch; None: it is a webhook.
        task: name of the task that it sends, for people.
        event: what the webhook tells of.
        sent_at: when it was sent (seconds since 1970).
        answer: the HTTP status that the webhook's receiver took it with.
    """

    counts_as_open: ClassVar[bool] = False

    batch: str
    callback: int | None = None
    task: str | None = None
    event: Event | None = None
    sent_at: float | None = None
    answer: int | None = None


#: What the store holds.
AnyItem = Batch | Shard | Notice
#: What a commit makes.
Spawned = Shard | Notice


def dump_item(item: AnyItem) -> dict[str, str]:
    """A record as its hash holds it."""
    return dump_fields({"schema": item.schema, **msgspec.to_builtins(item)})


def dump_fields(fields: dict[str, object]) -> dict[str, str]:
    """Attributes of an item as its hash holds them."""
    return {name: msgspec.json.encode(value).decode() for name, value in fields.items()}


def shard_id(batch_id: str, number: int) -> str:
    """The id of a batch's shard."""
    return f"{batch_id}.{number}"


def retry_id(batch_id: str) -> str:
    """The id of the batch that the failed rows of a batch are sent again as."""
    return f"{batch_id[:58]}-retry"  # an id has at most 64 characters


def notice_id(batch_id: str, number: int) -> str:
    """The id of a batch's notice."""
    return f"{batch_id}.n{number}"


def batch_id_of(item_id: str) -> str:
    """The batch that an item belongs to, or is."""
    return item_id.partition(".")[0]
