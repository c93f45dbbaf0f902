"""Why rows have no answer, counted."""

from collections import Counter
from collections.abc import Iterable

from .enums import ErrorType
from .responses import ResultError
from .shown import Shown

# Kinds that are told apart; a provider's codes may be as many as there are rows.
_MOST = 20
_LONGEST_CODE = 100


class ErrorReason(Shown, frozen=True, kw_only=True):
    """How many rows are errored for one reason.

    Attributes:
        type: a word of `ErrorType`.
        code: the provider's own word or number; None: it has none.
        rows: how many.
    """

    type: str
    code: str | None = None
    rows: int


class ReasonCounter:
    """Counts errors by type and code; beyond 20 kinds, all further ones count as `other`."""

    def __init__(self, reasons: Iterable[ErrorReason] = ()) -> None:
        self._rows: Counter[tuple[str, str | None]] = Counter()
        for each in reasons:
            self._count(each.type, each.code, each.rows)

    def add(self, error: ResultError) -> None:
        """Count the error of a row."""
        self._count(error.type.value, error.code and error.code[:_LONGEST_CODE], 1)

    def _count(self, kind: str, code: str | None, rows: int) -> None:
        known = (kind, code) in self._rows or len(self._rows) < _MOST
        self._rows[(kind, code) if known else (ErrorType.OTHER.value, None)] += rows

    def most_common(self) -> tuple[ErrorReason, ...]:
        """The most frequent first."""
        return tuple(ErrorReason(type=kind, code=code, rows=rows) for (kind, code), rows in self._rows.most_common())
