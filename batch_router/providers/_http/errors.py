"""The border at which an SDK's errors become ours. No error shows the key, and none of the SDK's passes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

import httpx2

from ...exceptions import (
    AnswersTooLargeError,
    CredentialsError,
    NoIdError,
    NotFoundError,
    ProtocolError,
    ProviderAPIError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRefusedError,
)
from ...security.masking import mask
from ...security.printable import printable
from .refused import NotSentError, RefusedError, TooLargeError

ErrorKind = type[ProviderAPIError]

# By HTTP status; the ranges below take what is not listed. 409: a request that runs at the same time; 499: a gateway
# that stopped waiting for the service (nginx).
_KINDS: dict[int, ErrorKind] = {
    401: CredentialsError,
    403: CredentialsError,
    404: NotFoundError,
    408: ProviderUnavailableError,
    409: ProviderUnavailableError,
    410: NotFoundError,
    429: RateLimitedError,
    499: ProviderUnavailableError,
}
# Most specific first; the first match counts.
_RANGES: tuple[tuple[range, ErrorKind], ...] = (
    (range(500, 1000), ProviderUnavailableError),
    (range(400, 500), RequestRefusedError),
    (range(400), ProtocolError),
)
# Answers that refuse a request, so that nothing acts on it. Any other may come from a gateway that stopped waiting for
# a service that does act on it (408, 499, 502), or leaves open what was done.
_REFUSALS = frozenset({400, 401, 403, 404, 413, 422, 429})
# After these the provider cannot have acted on the request.
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, NotSentError)
# No server has seen these requests, and none will see the same ones: a header with a line end, a URL that is none.
_UNSENDABLE = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol)
# Characters of a provider's message that an error shows, and of an answer that has none.
_LONGEST_MESSAGE = 1000
_QUOTED = 200
_LONGEST_WORD = 100

SDKError = TypeVar("SDKError", bound=Exception)


class Refusal(NamedTuple):
    """An answer that is not a success, as an SDK reports it.

    Attributes:
        status: the HTTP status.
        message: the provider's explanation, if it is a text.
        content: the whole answer, quoted where there is no message.
        retry_after: seconds that the provider asks us to wait.
        kind: our error, where the status alone does not tell.
    """

    status: int
    message: object
    content: bytes | str
    retry_after: float | None
    kind: ErrorKind | None = None


class Errors(Generic[SDKError]):
    """Makes the errors of one provider's client.

    Args:
        provider: its name.
        key: the secret that no error may show.
        refused: the SDK's error for an answer that is not a success.
        describe: reads such an error.
        unanswered: the SDK's errors for a request without an answer.
        kinds: statuses that mean something else to this provider than to the others.
    """

    def __init__(
        self,
        provider: str,
        key: str,
        refused: type[SDKError],
        describe: Callable[[SDKError], Refusal],
        *,
        unanswered: tuple[type[Exception], ...] = (),
        kinds: Mapping[int, ErrorKind] | None = None,
    ) -> None:
        self._provider = provider
        self._key = key
        self._refused = refused
        self._describe = describe
        self._unanswered: tuple[type[Exception], ...] = (
            *unanswered,
            httpx2.HTTPError,
        )  # the latter while an answer is streamed
        self._kinds = _KINDS | dict(kinds or {})

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raises the SDK's errors as ours."""
        try:
            yield
        except self._refused as error:
            ours = self.of_refusal(self._describe(error))
        except self._unanswered as error:
            ours = self.no_answer(error)
        except RecursionError:
            ours = self.protocol("answered something that is nested too deeply")
        else:
            return
        raise ours from None  # the words of the SDK's may hold the key, as the provider repeats it

    def of_refusal(self, refusal: Refusal) -> ProviderAPIError:
        """Our error for an answer that is not a success."""
        kind = refusal.kind or self._kind_of(refusal.status)
        return kind(
            self._provider,
            refusal.status,
            self.message_of(refusal.message, refusal.content),
            retry_after=refusal.retry_after,
            ambiguous=refusal.status not in _REFUSALS,
        )

    def _kind_of(self, status: int) -> ErrorKind:
        return self._kinds.get(status) or next(kind for statuses, kind in _RANGES if status in statuses)

    def no_answer(self, error: BaseException) -> ProviderAPIError:
        """Our error for a request without an answer, or with one that was not taken: ambiguous, unless never sent."""
        cause = error if isinstance(error, httpx2.HTTPError) else error.__cause__ or error  # an SDK's error wraps one
        if isinstance(cause, ProviderAPIError):  # of the stream that the request was to send
            return cause
        ambiguous = not isinstance(cause, _NEVER_SENT)
        said = self._shown(str(cause))
        if isinstance(cause, RefusedError):
            kind = AnswersTooLargeError if isinstance(cause, TooLargeError) else ProtocolError
            return kind(self._provider, 0, said, ambiguous=ambiguous)
        if isinstance(cause, _UNSENDABLE):
            return RequestRefusedError(self._provider, 0, f"a request cannot be sent as HTTP: {said}")
        message = f"no answer: {type(cause).__name__}{': ' if said else ''}{said}"
        return ProviderUnavailableError(self._provider, 0, message, ambiguous=ambiguous)

    def protocol(self, message: str) -> ProtocolError:
        """The provider answered something that its contract does not have, so it may have done anything."""
        return ProtocolError(self._provider, 200, message, ambiguous=True)

    def no_id(self, message: str) -> NoIdError:
        """The provider answered without a name for what it made."""
        return NoIdError(self._provider, 200, message, ambiguous=True)

    def not_an_object(self, content: bytes) -> ProtocolError:
        """The error of an answer that should be a JSON object."""
        return self.protocol(f"answered something that is not a JSON object: {self.quote(content)}")

    def message_of(self, message: object, content: bytes | str) -> str:
        """The text of an error: the provider's message, or the start of an answer that has none."""
        if isinstance(message, str) and message:
            return self._shown(message)
        return self.quote(content)

    def why_failed(self, message: object) -> str:
        """The provider's explanation of why a job failed, if it is one."""
        known = isinstance(message, str) and message
        return self._shown(str(message)) if known else "the provider refused the job and did not say why"

    def word(self, code: object) -> str | None:
        """The provider's word for an error, if it is one."""
        return printable(mask(code, self._key), _LONGEST_WORD) if isinstance(code, str) else None

    def quote(self, body: bytes | str) -> str:
        """The first characters of what the provider sent."""
        return quote_start(body, self._key)

    def _shown(self, text: str) -> str:
        return printable(mask(text, self._key), _LONGEST_MESSAGE)


def quote_start(body: bytes | str, secret: str | None = None) -> str:
    """The first characters of an answer, for an error message, without the key in it."""
    start = body[: 2 * _LONGEST_MESSAGE]  # a key at the cut is longer than a quotation is short of it
    text = start.decode(errors="replace") if isinstance(start, bytes) else start
    return repr(mask(text, secret)[:_QUOTED])
