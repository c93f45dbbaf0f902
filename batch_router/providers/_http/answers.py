"""Reading a provider's JSON answers leniently: only the fields that the road needs, and none of the SDK's models."""

from datetime import datetime
from typing import Any

import msgspec

from .errors import Errors


class Answers:
    """Reads one provider's answers.

    Args:
        errors: makes the error of an answer that cannot be read.
    """

    def __init__(self, errors: Errors[Any]) -> None:
        self._errors = errors

    def read(self, content: bytes) -> dict[str, Any]:
        """The object of an answer.

        Raises:
            ProtocolError: it is none; quotes its start.
        """
        try:
            value = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._errors.not_an_object(content) from error
        if not isinstance(value, dict):
            raise self._errors.not_an_object(content)
        return value

    def text(self, answer: dict[str, Any], field: str) -> str:
        """A field that must be a text.

        Raises:
            ProtocolError: it is not.
        """
        value = answer.get(field)
        if not isinstance(value, str):
            raise self._errors.protocol(f"answered without a usable {field!r}")
        return value


def seconds_of(time: Any) -> float | None:
    """RFC 3339 in seconds since 1970; None for anything else."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError):
        return None
