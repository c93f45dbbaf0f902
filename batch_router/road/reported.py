"""The border for what clients report, those of other packages too: what the store could not hold goes no further."""

from typing import TypeGuard

from ..core import BatchStatus
from ..core.coerce import count_of, label_of, moment_of, status_of
from ..core.jobs import Failure, Job, RefusedRow
from ..exceptions import NoIdError
from ..security.printable import printable

# Characters of an id or a name, of a word, and of a message.
_LONGEST_NAME, _LONGEST_WORD, _LONGEST_MESSAGE = 1100, 200, 1000
_HIGHEST_STATUS = 999
# Files of a job, and rows that it is refused for.
_MOST_FILES, _MOST_REFUSED = 100, 1000


def sound(provider: str, job: object) -> Job:
    """A job as a client reports it, in the types and bounds that a job has.

    Raises:
        NoIdError: it is none, or has no id.
    """
    if not isinstance(job, Job) or not _is_name(job.id):
        raise NoIdError(provider, 0, "the client reports a job without an id", ambiguous=True)
    status = job.status if isinstance(job.status, BatchStatus) else status_of(job.status)
    word = job.word if status is not None else job.status
    return Job(
        id=job.id,
        status=status or BatchStatus.IN_PROGRESS,
        word=None if word is None else printable(str(word), _LONGEST_WORD),
        created_at=moment_of(job.created_at) or 0.0,
        completed=count_of(job.completed) or 0,
        failed=count_of(job.failed) or 0,
        unanswered=count_of(job.unanswered),
        expires_at=moment_of(job.expires_at),
        outputs=tuple(filter(_is_name, _items(job.outputs)[:_MOST_FILES])),
        unnamed=job.unnamed is True,
        label=label_of(job.label),
        upload=job.upload if _is_name(job.upload) else None,
        rows=count_of(job.rows),
        error=_sound_failure(job.error) if isinstance(job.error, Failure) else None,
        refused=sound_rows(job.refused),
    )


def sound_rows(rows: object) -> tuple[RefusedRow, ...]:
    """The rows that a job was refused for, as a client reports them."""
    known = (each for each in _items(rows)[:_MOST_REFUSED] if isinstance(each, RefusedRow))
    return tuple(
        RefusedRow(
            row=row,
            message=printable(str(each.message), _LONGEST_MESSAGE),
            code=None if each.code is None else printable(str(each.code), _LONGEST_WORD),
        )
        for each in known
        if (row := count_of(each.row)) is not None
    )


def _sound_failure(failure: Failure) -> Failure:
    return Failure(
        type=printable(str(failure.type), _LONGEST_WORD),
        message=printable(str(failure.message), _LONGEST_MESSAGE),
        retryable=failure.retryable is True,
        status_code=min(count_of(failure.status_code) or 0, _HIGHEST_STATUS),
    )


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable()


def _items(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, tuple | list) else ()
