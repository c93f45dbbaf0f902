"""The check of rows before anything is sent."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from ..bounds import Bounds, beyond
from ..exceptions import ValidationError
from ..jsonl import Line, read_lines
from ..providers import Provider
from ..security.files import open_input
from ..security.printable import printable
from ..settings import Settings
from .encode import Row, RowEncoder
from .losses import Translated
from .options import Options
from .problems import BadRow, DuplicateFinder, Problems, Unit
from .recognise import recognise
from .rows import RowReader

_LONGEST_PATH = 500
_T = TypeVar("_T")


class RowCheck:
    """Checks the rows of one batch for one provider: fills in defaults, notes what is wrong, finds repeated ids.

    Args:
        provider: where the rows go.
        options: of the batch.
        settings: of this process.
        source: the file that the rows come from, for the problems' words; None: they were given in the call.
        limit: how many lines to check; None: all.
        unit: what problems count in the source.

    Attributes:
        encode: what is sent of a row that `accept` gave.
        dropped: what was left out because the provider does not take it, by name, and how often.
        adjusted: what of schemas is sent in another way than they say it, by name, and how often.
    """

    def __init__(
        self,
        provider: Provider | type[Provider],
        options: Options,
        settings: Settings,
        source: Path | None = None,
        limit: int | None = None,
        unit: Unit = "line",
    ) -> None:
        self._options = options
        self._native = provider.native
        self._bounds = settings.of(Bounds)
        self._limit = limit
        self._problems = Problems(source, unit)
        self._ids = DuplicateFinder()
        self._add_id = self._ids.add
        encoder = RowEncoder(provider, options.unsupported, settings)
        self._fit = encoder.fit
        self.encode = encoder.encode_fitting
        self.encode_request = encoder.encode_request
        self.frame = encoder.frame
        self.dropped = encoder.dropped
        self.adjusted = encoder.adjusted

    def read(self, stream: BinaryIO) -> Iterator[tuple[int, Row | Translated]]:
        """`(line, row)` of each row that is one, with the batch's defaults; all others are noted.

        Raises:
            ValidationError: there are more lines than a batch may have rows.
        """
        return self._read(stream, self._problems)

    def _read(self, stream: BinaryIO, problems: Problems) -> Iterator[tuple[int, Row | Translated]]:
        return RowReader(self._native, self._options, problems, self._bounds).read(self._lines(stream))

    def _lines(self, stream: BinaryIO) -> Iterator[Line]:
        lines = read_lines(stream, self._bounds.max_row_bytes)
        return at_most(self._bounds.max_rows, lines) if self._limit is None else islice(lines, self._limit)

    def accept(self, row: Row | Translated) -> Row:
        """A row that has the batch's defaults, as the provider takes it.

        Raises:
            ValidationError: the provider does not take it; says which field, and what to do.
        """
        self._add_id(row.custom_id)
        return self._fit(row)

    def refuse(self, line: int, error: Exception) -> None:
        """Note what is wrong with a row; lines are counted from 1."""
        self._problems.add(line, error)

    def finish(self, reopen: Callable[[], BinaryIO]) -> None:
        """Find the repeated ids, and raise if anything was wrong.

        Args:
            reopen: the rows once more, from their beginning; called only if ids seem to repeat.

        Raises:
            InvalidInputError: with all bad rows; each names its place, the field and the remedy.
        """
        self._ids.report(lambda: self._custom_ids(reopen()), self._problems)
        self._problems.raise_any()

    def _custom_ids(self, stream: BinaryIO) -> Iterator[tuple[int, str]]:
        with stream:
            for line, row in self._read(stream, Problems()):
                yield line, row.custom_id


def check_file(
    path: Path,
    provider: Provider | type[Provider],
    options: Options,
    settings: Settings,
    source: Path | None = None,
) -> None:
    """Check all rows of a file against the provider's rules.

    Args:
        path: of the file.
        provider: where the rows go.
        options: of the batch.
        settings: of this process.
        source: what problems call the file; None: its path.

    Raises:
        InvalidInputError: with all bad rows; each names file, line, field and remedy.
        ValidationError: the file cannot be read, or is of another kind; says which.
    """
    with input_file(path, settings) as stream:
        check_rows(stream, RowCheck(provider, options, settings, source or path), source or path)


def check_rows(stream: BinaryIO, check: RowCheck, source: Path) -> None:
    """The same of an open file, which is at its start and is closed if ids repeat; `source` is what it is called."""
    if what := recognise(stream):
        raise ValidationError(f"input: {_shown(source)} {what}")
    check_lines(stream, check)


def check_lines(stream: BinaryIO, check: RowCheck) -> None:
    """Check all lines of an open file, which is at its start and is closed if ids repeat.

    Raises:
        InvalidInputError: with all bad rows; each names its place, field and remedy.
    """
    for line, row in check.read(stream):
        try:
            check.encode(check.accept(row), "0")
        except BadRow as error:
            check.refuse(line, error)
    stream.seek(0)
    check.finish(lambda: stream)


@contextmanager
def input_file(file: Path | BinaryIO, settings: Settings) -> Iterator[BinaryIO]:
    """The user's file, for reading; what cannot be read is the user's to mend. An open one stays open.

    Raises:
        ValidationError: it cannot be read, is no regular file, or too large.
    """
    most = settings.of(Bounds).max_input_bytes
    with open_input(file, most) if isinstance(file, Path) else nullcontext(file) as stream:
        try:
            yield stream
        except OSError as error:
            shown = _shown(file) if isinstance(file, Path) else "the stream"
            raise ValidationError(f"input: {shown} cannot be read: {error.strerror}") from error


def at_most(rows: int, lines: Iterable[_T]) -> Iterator[_T]:
    """The lines of a batch.

    Raises:
        ValidationError: there are more than a batch may have rows.
    """
    rest = iter(lines)
    yield from islice(rest, rows)
    for _ in rest:
        raise ValidationError(f"rows: {beyond('max_rows', rows)}; split the batch")


def _shown(path: Path) -> str:
    return printable(str(path), _LONGEST_PATH)
