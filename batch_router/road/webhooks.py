"""A webhook: what it says, and how a receiver gets it."""

import asyncio
from collections.abc import Mapping
from uuid import NAMESPACE_URL, uuid5

import aiohttp
import msgspec

from ..connections import Http, NotPublicError
from ..core import BatchStatus, ErrorReason, Failure
from ..core.times import iso_time
from ..exceptions import ValidationError
from ..retry_after import read_retry_after
from ..security.printable import printable
from ..security.signatures import read_secrets, sign
from ..security.webhook_urls import PRIVATE, check_webhook, place_of
from ..settings import Settings
from ..state.events import Event
from ..state.items import Batch, Notice
from ..state.table import State
from .webhook_errors import WebhookRefusedError, WebhookUnavailableError

# Of an answer that may be another one later; all else but a success is final, redirects among it.
_PASSING = frozenset({408, 409, 425, 429})
# Characters of an error's message, and of the host's name in ours.
_SHOWN, _SHOWN_HOST = 2000, 200


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, in the words of `status --json`. With the most metadata it has some 25 kB."""

    batch_id: str
    provider: str
    model: str | None
    status: BatchStatus
    request_counts: dict[str, int]
    created_at: str
    completed_at: str | None
    error: Failure | None
    reasons: tuple[ErrorReason, ...]
    metadata: dict[str, str]
    shard: str | None
    queue: str | None
    budget: str | None


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    timestamp: str
    data: object


def message_id(event: Event) -> str:
    """The id of an event's message: one and the same at every attempt."""
    return f"msg_{uuid5(NAMESPACE_URL, f'batch_router:{event.key}').hex}"


def message_of(notice: Notice, batch: Batch) -> bytes:
    """The body of a webhook."""
    event = notice.event
    assert event is not None
    counts = batch.result_counts if batch.state.is_final else {}
    data = _Data(
        batch_id=batch.id,
        provider=batch.provider,
        model=batch.model,
        status=_status(batch),
        request_counts={"total": batch.rows or 0, **counts},
        created_at=iso_time(batch.created_at),
        completed_at=iso_time(batch.ended_at) if batch.ended_at else None,
        error=_bounded(event.cause or batch.failure),
        reasons=batch.reasons,
        metadata=batch.metadata,
        shard=event.shard,
        queue=event.queue,
        budget=event.budget,
    )
    return encode(event.type, notice.created_at, data)


def _status(batch: Batch) -> BatchStatus:
    if batch.state.is_final:
        return BatchStatus(batch.state.value)
    return BatchStatus.QUEUED if batch.state is State.QUEUED else BatchStatus.IN_PROGRESS


def encode(kind: str, at: float, data: object) -> bytes:
    """A message as Standard Webhooks have it; `at` is when it happened (seconds since 1970)."""
    return msgspec.json.encode(_Message(type=kind, timestamp=iso_time(at), data=data))


def post(settings: Settings, url: str, name: str, body: bytes, now: float) -> int:
    """Send a message, signed; returns the HTTP status that its receiver took it with.

    Only addresses that are public are connected to, unless the settings allow others. Proxies of the environment are
    not used: they would resolve the host themselves. All of it takes half a lease at most; no answer's body is read.

    Args:
        settings: of this process.
        url: of the receiver.
        name: the message's id.
        body: of the message.
        now: seconds since 1970.

    Raises:
        WebhookRefusedError: it is not taken, and never will be.
        WebhookUnavailableError: it is not taken now.
    """
    try:
        check_webhook(url, private=settings.webhook_private)
    except ValidationError as error:
        raise WebhookRefusedError(str(error)) from None
    try:
        headers = sign(read_secrets(settings.webhook_secret), name, int(now), body)
    except ValidationError as error:  # another worker may have it
        raise WebhookUnavailableError(str(error)) from None
    where = printable(place_of(url), _SHOWN_HOST)
    try:
        return asyncio.run(_send(settings, url, where, headers, body))
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, NotPublicError):
            sentence = f"{where}: the host has no public address; where the workers run, {PRIVATE} allows such"
            raise WebhookRefusedError(sentence) from None
        raise _unavailable(where, error) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:  # their words may have the URL
        raise _unavailable(where, error) from None


async def _send(settings: Settings, url: str, where: str, headers: Mapping[str, str], body: bytes) -> int:
    async with (
        Http(
            connections=1,
            timeout=aiohttp.ClientTimeout(total=settings.lease / 2),
            headers={**headers, "Content-Type": "application/json", "User-Agent": "batch-router"},
            public_only=not settings.webhook_private,
            encrypted=url.startswith("https:"),
            keep_alive=0,
        ) as http,
        http.post(url, body) as answer,
    ):
        status = answer.status
        answer.close()
        if 200 <= status < 300:
            return status
        if status in _PASSING or status >= 500:
            raise WebhookUnavailableError(f"{where} answers {status}", status, read_retry_after(answer.headers))
        raise WebhookRefusedError(f"{where} answers {status}{_said(status)}", status)


def _said(status: int) -> str:
    return "; redirects are not followed" if 300 <= status < 400 else ""


def _unavailable(where: str, error: Exception) -> WebhookUnavailableError:
    return WebhookUnavailableError(f"{where} does not take it: {type(error).__name__}")


def _bounded(failure: Failure | None) -> Failure | None:
    return failure and msgspec.structs.replace(failure, message=printable(failure.message, _SHOWN))
