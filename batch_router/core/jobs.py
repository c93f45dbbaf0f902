"""What the clients of all providers report: jobs, failures, accounts."""

import hmac
from collections.abc import Iterable
from hashlib import pbkdf2_hmac
from typing import Annotated

import msgspec
from msgspec import Meta

from ..exceptions import RequestRefusedError
from ..security.headers import check_headers
from .enums import BatchStatus, Endpoint
from .shown import Shown

#: The value of an engine's option; True: a flag.
EngineOption = bool | int | float | str


#: A provider's word for the time that a job may take: "24h".
CompletionWindow = Annotated[str, Meta(pattern=r"^[0-9]{1,4}[a-z]{1,2}\Z")]
#: A provider's name of a feature that is not yet for all: "output-300k-2026-03-24".
Beta = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")]

#: Rounds of the digest of a key: some 20 ms, once per client. Keys of one's own servers may be short enough to guess.
_DIGEST_ROUNDS = 50_000


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a provider's jobs belong to: what one key sees at one service. It holds no secret.

    Attributes:
        service: the provider and the host of its API: `openai@api.openai.com`.
        credential: the name of the key; None: the process's own key.
        key: salt and digest of the key (`<salt>$<digest>`, hex); None: the service asks for no key.
    """

    service: str
    credential: str | None = None
    key: str | None = None

    @property
    def name(self) -> str:
        """`service`, or `service/credential`: the same for all processes, whichever key they have for it."""
        return self.service if self.credential is None else f"{self.service}/{self.credential}"

    def has_key(self, key: str | None) -> bool:
        """Whether the account was recorded with this key."""
        if self.key is None or key is None:
            return self.key is key
        salt, _, _ = self.key.partition("$")
        return hmac.compare_digest(self.key, digest_key(key, bytes.fromhex(salt)))


def digest_key(key: str, salt: bytes) -> str:
    """What `Account.key` holds of a key; the key cannot be computed from it."""
    return f"{salt.hex()}${pbkdf2_hmac('sha256', key.encode(), salt, _DIGEST_ROUNDS).hex()}"


class Failure(Shown, frozen=True, kw_only=True):
    """What went wrong, in words that `status` shows: no key and no prompt may be in them.

    Attributes:
        retryable: whether the condition may pass.
        status_code: the provider's HTTP status; 0: no answer.
    """

    type: str
    message: str
    retryable: bool = False
    status_code: int = 0


class RefusedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row for which a provider refused a whole job.

    Attributes:
        row: its number within the job, from 0.
        message: the provider's words.
        code: the provider's word for the error; None: it has none.
    """

    row: int
    message: str
    code: str | None = None


class RowsRefusedError(RequestRefusedError):
    """The provider refused to create a job for some of its rows; there is no job.

    Attributes:
        rows: which, and why.
    """

    type = "rows_refused"

    def __init__(self, provider: str, status_code: int, message: str, rows: Iterable[RefusedRow] = ()) -> None:
        self.rows = tuple(rows)
        super().__init__(provider, status_code, message)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's batch, as it was last seen.

    Attributes:
        word: the provider's word for the status, where its meaning is not known: such a job counts as running.
        created_at: seconds since 1970, by the provider's clock; 0: unknown.
        completed: rows answered so far.
        failed: rows refused so far.
        unanswered: rows that the provider counts as neither; None: its counts do not say so.
        expires_at: when the provider gives up the rows that are not done, seconds since 1970.
        outputs: the provider's names of the result files, in the order in which they are read.
        unnamed: whether the job has ended with answers, and names no file of them yet.
        label: ours or another's; None: it has none, or the provider does not show it.
        upload: the provider's name of the uploaded rows that it was made of, if it shows that.
        rows: how many rows the provider counts in it, if it does.
        error: why the job ended without doing its work, in the provider's words.
        refused: the rows that it was refused for.
    """

    id: str
    status: BatchStatus
    word: str | None = None
    created_at: float
    completed: int = 0
    failed: int = 0
    unanswered: int | None = None
    expires_at: float | None = None
    outputs: tuple[str, ...] = ()
    unnamed: bool = False
    label: str | None = None
    upload: str | None = None
    rows: int | None = None
    error: Failure | None = None
    refused: tuple[RefusedRow, ...] = ()

    @property
    def did_nothing(self) -> bool:
        """Whether the job was refused as a whole: it answered no row, and costs nothing."""
        return self.status is BatchStatus.FAILED and not (self.completed or self.outputs)

    def undone(self, rows: int) -> int | None:
        """How many of its rows the provider counts as not done; None: it does not, or counts other rows than these."""
        if self.unanswered is None or self.completed + self.failed + self.unanswered > rows:
            return None
        return self.unanswered

    def promised(self, rows: int) -> int:
        """How many of its rows have an answer or a refusal that can be fetched, by its status and counts."""
        if self.status is BatchStatus.COMPLETED:
            return rows - (self.undone(rows) or 0)
        return min(rows, self.completed + self.failed)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is that runs in the worker.

    Attributes:
        completed: rows answered so far.
        before: rows that earlier runs had answered when this run began.
        since: when this run began, by the store's clock (seconds since 1970).
        at: when they were counted.
        spent: seconds that all runs until then have taken.
    """

    completed: int
    before: int
    since: float
    at: float
    spent: float = 0

    @property
    def rate(self) -> float:
        """Rows per second of this run; 0: none yet."""
        return (self.completed - self.before) / max(1e-3, self.at - self.since)


class JobOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a batch asks of its jobs, where the provider has it; all of it goes with the call that creates a job.

    Attributes:
        completion_window: the time that the job may take; None: the provider's usual one.
        headers: extra headers of the request.
        betas: features that are not yet for all.

    Raises:
        ValidationError: a header is one that a batch may not set.
    """

    completion_window: CompletionWindow | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    betas: Annotated[list[Beta], Meta(max_length=32)] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        check_headers(self.headers)

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers as a client sends them, the betas among them: small letters, as in the SDKs' own defaults."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        return headers | ({"anthropic-beta": ",".join(self.betas)} if self.betas else {})


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a client needs to create a job.

    Attributes:
        label: unique; the job carries it at the provider.
        round: how often creating started over; each round uploads under a name of its own.
        upload: the provider's name of the uploaded rows.
        engine_options: of the batch, for the engine of a job that runs in the worker.
        options: what the batch asks of its jobs.
    """

    label: str
    model: str
    endpoint: Endpoint = Endpoint.CHAT
    rows: int
    round: int = 0
    upload: str | None
    engine_options: dict[str, EngineOption] = msgspec.field(default_factory=dict)
    options: JobOptions = JobOptions()
