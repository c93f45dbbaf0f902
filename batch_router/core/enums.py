"""The vocabularies that users see: one set of words, whatever the provider calls it."""

from enum import StrEnum


class BatchStatus(StrEnum):
    """What a batch is doing."""

    QUEUED = "queued"  # submitted; no worker has started on it
    VALIDATING = "validating"  # its rows are being checked and cut into shards
    IN_PROGRESS = "in_progress"
    PARKED = "parked"  # a shard waits for the operator's decision
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """Whether the batch has ended."""
        return self in (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.CANCELLED, BatchStatus.EXPIRED)


class Endpoint(StrEnum):
    """What a request asks for. Unified requests have the first three; the others are for native rows."""

    CHAT = "chat"
    RESPONSES = "responses"  # the same as chat, over OpenAI's newer API
    EMBEDDINGS = "embeddings"  # the text of the user's turn as numbers
    COMPLETIONS = "completions"
    MODERATIONS = "moderations"
    IMAGES = "images"
    IMAGE_EDITS = "image_edits"
    VIDEOS = "videos"
    SCORE = "score"
    RERANK = "rerank"


class ResultStatus(StrEnum):
    """How one request ended."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class FinishReason(StrEnum):
    """Why the model stopped; the provider's own word is kept beside it in `finish_reason_raw`."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    OTHER = "other"


class ErrorType(StrEnum):
    """Why a request has no answer; `ResultError.raw` has the provider's own error."""

    INVALID_REQUEST = "invalid_request"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    QUOTA = "quota"
    RATE_LIMIT = "rate_limit"
    TIMEOUT = "timeout"
    SERVER = "server"
    MISSING = "missing"  # the provider returned no row for the request
    MALFORMED = "malformed"  # the provider returned a row that cannot be read
    INVALID_OUTPUT = "invalid_output"  # the answer does not fit the schema after all `invalid_retries`; it is kept
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNDECIDED = "undecided"  # its shard was given up while nothing told whether the provider had answered it
    JOB_FAILED = "job_failed"  # the provider refused the job as a whole
    OTHER = "other"
