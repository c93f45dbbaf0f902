"""Every error that batch_router raises, and whether it is worth a retry.

    BatchRouterError
    ├── ValidationError (ValueError)      input that is refused before anything is sent
    │   ├── InvalidInputError             rows of a batch that are refused, with a report of each
    │   └── UnsupportedContentTypeError   content that the provider does not take
    ├── ProviderNotFoundError             no provider of that name
    ├── BatchNotFoundError                no batch of that id in the store
    ├── BatchTimeoutError                 the caller's wait ended; the batch goes on
    ├── BatchExpiredError                 the batch was cancelled when its own timeout was over
    ├── BatchNotFinishedError             there is no result yet
    ├── BatchFailedError                  the batch ended without a single answer
    ├── UnbalancedError                   results are not what was asked, or not what the manifest says
    ├── StateError                        a transition that the state table does not have: a bug, not a condition
    ├── SchemaError                       state that another version of batch_router wrote
    ├── CorruptItemError                  state that no version of batch_router could have written
    ├── FileOperationError                storage could not be read or written          (retried)
    │   ├── DamagedObjectError            an object is not what was written             (retried)
    │   └── FileMissingError              it has no such object                         (retried)
    ├── StepCrashesError                  a step took down its worker again and again
    ├── StoreUnavailableError             the store (Redis) cannot be reached           (retried)
    ├── BrokerUnavailableError            the app's broker did not take a task          (retried)
    ├── NoWorkerError                     no worker listens on the queue                (retried)
    └── ProviderAPIError                  the provider's answer, or none
        ├── CredentialsError              missing or refused key
        ├── RequestRefusedError           4xx: the same request would be refused again
        ├── NotFoundError                 404/410: the job or file is not there
        ├── RateLimitedError              429                                           (retried)
        │   └── QueueFullError            no room for a job's tokens at the provider    (retried)
        ├── ProviderUnavailableError      5xx, resets, timeouts                         (retried)
        ├── JobInterruptedError           the worker of the job was stopped; another one continues it   (retried)
        ├── ProtocolError                 an answer that the contract does not have     (retried)
        │   ├── AnswersTooLargeError      answers beyond a bound of ours
        │   └── NoIdError                 an answer that names no job, or no file         (retried)
        └── UndecidedError                not known yet whether the provider has the job   (retried)

A provider may have errors of its own below these: vLLM's are in `providers/vllm/errors.py`. Those of
webhooks are in `road/webhook_errors.py`.

`retryable` says whether the same call may succeed later. `ambiguous` says whether the provider may have acted on
a request whose answer never came: the question that matters before a job is created again. `type` is the word
that status, manifests and results show.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

#: At most this many bad rows are described; the rest is counted.
MAX_PROBLEMS = 20
# Characters of a name that an error shows.
_LONGEST_NAME = 100


class BatchRouterError(Exception):
    """Base of all errors of this library."""

    type: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, *args: object) -> None:
        super().__init__(*map(_bounded, args))

    def __reduce__(self) -> "tuple[Callable[..., BatchRouterError], tuple[object, ...]]":
        """How it is pickled, as by an app's own process pool: the classes have different arguments."""
        return _unpickle, (type(self), self.args, vars(self))


# Characters: an error may quote a row, an answer or an argument of any size, and goes to logs and into the store.
_LONGEST = 12_000


def _bounded(said: object) -> object:
    return f"{said[:_LONGEST]}..." if isinstance(said, str) and len(said) > _LONGEST else said


def _unpickle(
    kind: type[BatchRouterError], args: tuple[object, ...], attributes: Mapping[str, object]
) -> BatchRouterError:
    error = kind.__new__(kind, *args)
    vars(error).update(attributes)
    return error


class ValidationError(BatchRouterError, ValueError):
    """Input that was refused before anything was sent: what is wrong, and what to do."""

    type = "invalid_input"


class InvalidInputError(ValidationError):
    """Rows of a batch were refused.

    Attributes:
        problems: the first `MAX_PROBLEMS` problems, one sentence each, naming file, line and field.
        total: how many there are.
    """

    def __init__(self, problems: list[str], total: int) -> None:
        self.problems = problems[:MAX_PROBLEMS]
        self.total = total
        hidden = total - len(self.problems)
        lines = [*self.problems, *([f"... and {hidden} more"] if hidden > 0 else [])]
        super().__init__("\n".join(lines))


class UnsupportedContentTypeError(ValidationError):
    """Content that the provider does not take."""

    type = "unsupported"


class ProviderNotFoundError(BatchRouterError):
    """No provider of that name is installed."""

    type = "provider_not_found"

    def __init__(self, provider_name: str, known: tuple[str, ...] = (), why: str = "") -> None:
        self.provider_name = provider_name
        hint = f"; known: {', '.join(known)}" if known else ""
        super().__init__(f"Provider {provider_name[:_LONGEST_NAME]!r} not found{why and f': {why}'}{hint}")


class BatchNotFoundError(BatchRouterError):
    """No batch of that id is in the store."""

    type = "batch_not_found"

    def __init__(self, batch_id: str) -> None:
        self.batch_id = batch_id
        super().__init__(
            f"No batch {batch_id[:_LONGEST_NAME]!r} in this store; `batch-router list` shows those that are"
        )


class BatchTimeoutError(BatchRouterError):
    """The caller stopped waiting after `timeout` seconds; the batch itself goes on."""

    type = "timeout"

    def __init__(self, batch_id: str, timeout: float) -> None:
        self.batch_id = batch_id
        self.timeout = timeout
        super().__init__(
            f"Batch {batch_id} had not ended after {timeout:g} s of waiting; it goes on, and can be waited for again"
        )


class BatchExpiredError(BatchRouterError):
    """The batch was cancelled when its own `timeout` option, in seconds, was over; answers that it had are kept."""

    type = "expired"

    def __init__(self, batch_id: str, timeout: float) -> None:
        self.batch_id = batch_id
        self.timeout = timeout
        super().__init__(
            f"Batch {batch_id} was cancelled when its timeout of {timeout:g} s was over; "
            "its results have what was answered by then"
        )


class BatchNotFinishedError(BatchRouterError):
    """The batch has no results yet."""

    type = "not_finished"

    def __init__(self, batch_id: str, status: str) -> None:
        self.batch_id = batch_id
        super().__init__(
            f"Batch {batch_id} has not finished (it is {status}); `batch-router watch {batch_id}` waits for it"
        )


class BatchFailedError(BatchRouterError):
    """The batch ended without a single answer; `error_details` is the error that `status` shows, as plain data."""

    type = "batch_failed"

    def __init__(self, batch_id: str, error_details: Mapping[str, object]) -> None:
        self.batch_id = batch_id
        self.error_details = dict(error_details)
        message = error_details.get("message")
        problems = error_details.get("problems")
        first = f"; the first one: {problems[0]}" if isinstance(problems, list) and problems else ""
        super().__init__(f"Batch {batch_id} failed{f': {message}' if message else ' for an unknown reason'}{first}")


class UnbalancedError(BatchRouterError):
    """The results of a batch are not what was asked, or not what its manifest says."""

    type = "unbalanced"


class StateError(BatchRouterError):
    """A transition that the state table does not have."""

    type = "illegal_transition"


class SchemaError(BatchRouterError):
    """State that another version of batch_router wrote, and that this one does not touch."""

    type = "other_schema"

    def __init__(self, item_id: str, *, newer: bool) -> None:
        remedy = "update the one that runs here" if newer else "let workers of that version finish it"
        super().__init__(f"{item_id} was made by {'a newer' if newer else 'an older'} batch_router; {remedy}")


class CorruptItemError(BatchRouterError):
    """State that batch_router could not have written, and that it does not touch.

    Attributes:
        item_id: of the batch or shard.
        why: what is wrong with it.
    """

    type = "corrupt_item"

    def __init__(self, item_id: str, why: str) -> None:
        self.item_id = item_id
        self.why = why
        batch_id = item_id.partition(".")[0]
        super().__init__(
            f"{item_id} is in the store as batch_router does not write it ({why}); it is left alone: mend it or "
            f"restore it from a backup, then `batch-router resume {batch_id}`"
        )


class FileOperationError(BatchRouterError):
    """Storage could not be read or written."""

    type = "storage_error"
    retryable = True


class DamagedObjectError(FileOperationError):
    """An object in storage is not what was written."""

    type = "damaged_object"


class StepCrashesError(BatchRouterError):
    """A step took down its worker again and again."""

    type = "step_crashes"


class FileMissingError(FileOperationError):
    """Storage has no such object; a share may show it later."""


class StoreUnavailableError(BatchRouterError):
    """The store, a Redis server, cannot be reached."""

    type = "store_unavailable"
    retryable = True


class BrokerUnavailableError(BatchRouterError):
    """The broker of the user's app does not take a task."""

    type = "broker_unavailable"
    retryable = True


class NoWorkerError(BatchRouterError):
    """No worker listens on the queue that the work needs."""

    type = "no_worker"
    retryable = True


class ProviderAPIError(BatchRouterError):
    """A call to a provider went wrong.

    Attributes:
        provider: the provider's name.
        status_code: the HTTP status, 0 where there was no answer.
        message: the provider's words, or ours where it had none; never a key.
        retry_after: seconds that the provider asked us to wait, if it did.
        ambiguous: whether the provider may have acted on the request.
    """

    type = "provider_error"

    def __init__(
        self,
        provider: str,
        status_code: int,
        message: str,
        *,
        retry_after: float | None = None,
        ambiguous: bool = False,
    ) -> None:
        who = f"{provider} answered {status_code}: " if status_code else f"{provider}: "
        self.provider = provider
        self.status_code = status_code
        self.message = message.removeprefix(who)
        self.retry_after = retry_after
        self.ambiguous = ambiguous
        super().__init__(who + self.message)


class CredentialsError(ProviderAPIError):
    """The key is missing, or the provider refuses it."""

    type = "authentication_error"


class RequestRefusedError(ProviderAPIError):
    """The provider refused the request, and would refuse it again."""

    type = "request_refused"


class NotFoundError(ProviderAPIError):
    """The provider does not have this job or file, or no longer."""

    type = "not_found"


class RateLimitedError(ProviderAPIError):
    """Too many requests, or too many tokens waiting; `retry_after` is the provider's word on when to come back."""

    type = "rate_limited"
    retryable = True


class QueueFullError(RateLimitedError):
    """The provider has no room for the tokens of another job of this account and model."""

    type = "token_limit_exceeded"


class ProviderUnavailableError(ProviderAPIError):
    """The provider failed on its side, or the connection to it did."""

    type = "provider_unavailable"
    retryable = True


class JobInterruptedError(ProviderAPIError):
    """The worker that runs the job stops it, and another worker continues it later; nothing is lost."""

    type = "interrupted"
    retryable = True


class ProtocolError(ProviderAPIError):
    """The provider answered something that its contract does not have."""

    type = "protocol_error"
    retryable = True


class NoIdError(ProtocolError):
    """The provider took a request, and its answer does not say what it made."""

    type = "no_id"


class AnswersTooLargeError(ProtocolError):
    """The answers to a job are larger than a setting allows; the message has its name."""

    type = "answers_too_large"
    retryable = False


class UndecidedError(ProviderAPIError):
    """It is not known yet whether the provider has the job."""

    type = "create_unknown"
    retryable = True


def provider_error(provider: str, type_word: str, status_code: int, message: str) -> ProviderAPIError | None:
    """The error of a provider that a status shows, as an exception of its class again.

    Args:
        provider: the provider's name.
        type_word: the `type` of the error.
        status_code: the provider's HTTP status; 0: none.
        message: the sentence that the status shows.

    Returns:
        None if the error is not the provider's but one of ours.
    """
    kinds = {kind.type: kind for kind in _subclasses(BatchRouterError)}
    kind = kinds.get(type_word, ProviderAPIError)
    return kind(provider, status_code, message) if issubclass(kind, ProviderAPIError) else None


def _subclasses(kind: type[BatchRouterError]) -> Iterator[type[BatchRouterError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _subclasses(below)
