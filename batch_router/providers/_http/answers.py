"""Reading a provider's JSON answers leniently: only the fields that the road needs, and none of the SDK's models.

This is the one border for what the clients are answered. A text that becomes a part of a URL must be one that can; all
else is coerced (`core.coerce`), and what means nothing is left out: an odd field costs neither a job nor its id.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import msgspec

from ...core import BatchStatus
from ...core.coerce import count_of, status_of
from .errors import Errors

# Names of jobs and files become parts of URLs. Those of a gateway may say where they lead, as LiteLLM's with 300.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._~:@+,=-]{0,999}")
# Cursors of pages become parameters of URLs.
_CURSOR = re.compile(r"[!-~]{1,2000}")
# What some services wrap an object in: Together's answer to a create is `{"job": {...}, "warning": ...}`.
_WRAPPERS = ("job", "batch", "data", "result")
# What some gateways call an id.
_OTHER_NAMES = {"id": ("batch_id", "job_id", "file_id")}


class Counts(NamedTuple):
    """How many rows of a job are done; None: the provider does not say, or nothing that can be.

    Attributes:
        completed: answered.
        failed: refused one by one.
        unanswered: neither.
    """

    completed: int | None
    failed: int | None
    unanswered: int | None

    @classmethod
    def of(cls, total: object, completed: object, failed: object) -> "Counts":
        """From values of any type. What does not add up says nothing of the rest; no job has zero rows."""
        rows, answered, refused = count_of(total), count_of(completed), count_of(failed)
        if rows == 0:
            return cls(answered or None, refused or None, None)
        if not rows or answered is None or refused is None or answered + refused > rows:
            return cls(answered, refused, None)
        return cls(answered, refused, rows - answered - refused)

    def lacks_answers(self, status: BatchStatus, *, has_answers: bool, has_refusals: bool) -> bool:
        """Whether a job has ended with answers that it names no file of, or may have.

        Args:
            status: of the job.
            has_answers: whether it names where answers are.
            has_refusals: whether it names a file of nothing but refusals.
        """
        if not status.is_final or has_answers:
            return False
        if self.completed:
            return True
        if has_refusals or self.failed or status is BatchStatus.FAILED:
            return False
        return status is BatchStatus.COMPLETED or self.completed is None


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

    def read_page(self, content: bytes, field: str) -> dict[str, Any]:
        """The page of a list; some services answer with the bare list.

        Raises:
            ProtocolError: it is none; quotes its start.
        """
        if content.lstrip()[:1] != b"[":
            return self.read(content)
        return self.read(b'{"%b":%b}' % (field.encode(), content))

    def unwrapped(self, answer: dict[str, Any], identity: str) -> dict[str, Any]:
        """The object itself, which a service may have wrapped in another one.

        Args:
            answer: one or the other.
            identity: the field that has the object's name.
        """
        if answer.get(identity):
            return answer
        inner = (answer.get(name) for name in _WRAPPERS)
        return next((each for each in inner if isinstance(each, dict) and each.get(identity)), answer)

    def name(self, answer: dict[str, Any], field: str, folder: str = "") -> str:
        """A field that must be a name of a job or of a file.

        Args:
            answer: has the field.
            field: its key.
            folder: what each such name begins with: "files/".

        Raises:
            ProtocolError: it is none that can be a part of a URL.
        """
        value = next((value for each in (field, *_OTHER_NAMES.get(field, ())) if (value := answer.get(each))), None)
        name = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(name, str) or not name:
            raise self._errors.no_id(f"answered without a usable {field!r}")
        if not is_name(name, folder):
            raise self._errors.no_id(f"answered with a name that is not one: {self._errors.quote(name)}")
        return name

    def status(self, word: object, words: Mapping[str, BatchStatus] | None = None) -> tuple[BatchStatus, str | None]:
        """What a job's status means, and the word for it if that is not known: then the job is taken to run.

        Args:
            word: the provider's.
            words: what some words mean to this provider alone.
        """
        own = (words or {}).get(word) if isinstance(word, str) else None
        status = own or status_of(word)
        if status is not None:
            return status, None
        return BatchStatus.IN_PROGRESS, self._errors.word(word) or "none that can be read"

    def cursor(self, page: dict[str, Any], field: str) -> str | None:
        """The cursor of the next page; None: this is the last.

        Raises:
            ProtocolError: it is none that can be a parameter of a URL.
        """
        cursor = page.get(field)
        if not cursor:
            return None
        if not isinstance(cursor, str) or not _CURSOR.fullmatch(cursor):
            raise self._errors.protocol(f"answered with a cursor that is not one: {self._errors.quote(str(cursor))}")
        return cursor


def is_name(name: object, folder: str = "") -> TypeGuard[str]:
    """Whether this can be the name of a job or of a file, below a folder; `""` is none."""
    if not isinstance(name, str) or not name.startswith(folder) or ".." in name:
        return False
    return _NAME.fullmatch(name, len(folder)) is not None


def fields_of(value: object) -> dict[str, Any]:
    """An object of an answer; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}
