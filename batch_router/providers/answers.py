"""What the clients over HTTP have in common: answers read leniently, and errors that quote them without the key."""

from datetime import datetime
from typing import Any, BinaryIO

import httpx2
import msgspec

from ..exceptions import ProtocolError, ProviderUnavailableError
from .base import quote_start


class Answers:
    """Reads one provider's JSON answers.

    Args:
        provider: its name, for errors.
        key: the secret that no error may show.
    """

    def __init__(self, provider: str, key: str) -> None:
        self._provider = provider
        self._key = key

    def read(self, content: bytes) -> dict[str, Any]:
        """The object of an answer.

        Raises:
            ProtocolError: it is none; quotes its start.
        """
        try:
            value = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._nonsense(content) from error
        if not isinstance(value, dict):
            raise self._nonsense(content)
        return value

    def text(self, answer: dict[str, Any], field: str) -> str:
        """A field that must be a text.

        Raises:
            ProtocolError: it is not.
        """
        value = answer.get(field)
        if not isinstance(value, str):
            raise ProtocolError(self._provider, 200, f"answered without a usable {field!r}", ambiguous=True)
        return value

    def unknown_status(self, word: str) -> ProtocolError:
        """A job stands in a way that the contract does not have."""
        message = f"unknown job status {quote_start(word, self._key)}"
        return ProtocolError(self._provider, 200, message, ambiguous=True)

    def lost(self, error: BaseException) -> ProviderUnavailableError:
        """There was no answer. Unless there was no connection either, the request may have got there all the same."""
        cause = error if isinstance(error, httpx2.HTTPError) else error.__cause__ or error  # an SDK's error wraps one
        never_sent = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
        return ProviderUnavailableError(
            self._provider, 0, f"no answer: {type(cause).__name__}", ambiguous=not never_sent
        )

    def words(self, message: Any, content: bytes | str) -> str:
        """What an error says: its message, or the start of the answer that has none."""
        if isinstance(message, str) and message:
            return message.replace(self._key, "***")
        return quote_start(content, self._key)

    def _nonsense(self, content: bytes) -> ProtocolError:
        start = quote_start(content, self._key)
        return ProtocolError(
            self._provider, 200, f"answered something that is not a JSON object: {start}", ambiguous=True
        )


class WholeLines:
    """Passes on what is written, and ends a last line that was left open: files of answers follow each other."""

    def __init__(self, into: BinaryIO) -> None:
        self._into = into
        self._last = b"\n"

    def write(self, chunk: bytes) -> None:
        """Pass on."""
        self._into.write(chunk)
        self._last = chunk[-1:] or self._last

    def end(self) -> None:
        """Nothing more comes of this file."""
        if self._last != b"\n":
            self._into.write(b"\n")


def seconds_of(time: Any) -> float | None:
    """RFC 3339 in seconds since 1970; None for anything else."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError):
        return None
