"""The check of rows before anything is sent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from ..core import UnifiedRequest
from ..exceptions import ValidationError
from ..jsonl import read_lines
from ..providers import Provider
from ..settings import Settings
from .encode import RowEncoder
from .options import Options
from .problems import DuplicateFinder, Problems
from .rows import fill_defaults, read_custom_ids, read_rows


class RowCheck:
    """Checks the rows of one batch for one provider: fills in defaults, notes what is wrong, finds repeated ids.

    Args:
        provider: where the rows go.
        options: of the batch.
        settings: of this process.
        source: the file that the rows come from, for the problems' words; None: they were given in the call.
        limit: how many lines to check; None: all.

    Attributes:
        encode: the row to send, of a request that `accept` gave.
        dropped: what was left out because the provider does not take it, by name, and how often.
    """

    def __init__(
        self,
        provider: Provider | type[Provider],
        options: Options,
        settings: Settings,
        source: Path | None = None,
        limit: int | None = None,
    ) -> None:
        self._options = options
        self._limit = limit
        self._problems = Problems(source)
        self._ids = DuplicateFinder()
        self._add_id = self._ids.add
        encoder = RowEncoder(provider, options.unsupported, settings)
        self._fit = encoder.fit
        self.encode = encoder.encode_fitting
        self.dropped = encoder.dropped

    def read(self, stream: BinaryIO) -> Iterator[tuple[int, UnifiedRequest]]:
        """`(line, request)` of each row that is a request, with the batch's defaults; all others are noted."""
        lines = read_lines(stream)
        if self._limit is not None:
            lines = islice(lines, self._limit)
        return read_rows(lines, self._options, self._problems)

    def accept(self, request: UnifiedRequest) -> UnifiedRequest:
        """A request that has the batch's defaults, as the provider takes it.

        Raises:
            ValidationError: the provider does not take it; says which field, and what to do.
        """
        self._add_id(request.custom_id)
        return self._fit(request)

    def check(self, request: UnifiedRequest) -> None:
        """Check a request that was given in the call.

        Raises:
            ValidationError: says which field is wrong, and what to do.
        """
        self.encode(self.accept(fill_defaults(request, self._options)), "0")

    def refuse(self, line: int, error: ValidationError) -> None:
        """Note what is wrong with a row; lines are counted from 1."""
        self._problems.add(line, error)

    def finish(self, reopen: Callable[[], BinaryIO]) -> None:
        """Find the repeated ids, and raise if anything was wrong.

        Args:
            reopen: the rows once more, from their beginning; called only if ids seem to repeat.

        Raises:
            InvalidInputError: with all bad rows; each names its place, the field and the remedy.
        """
        self._ids.report(lambda: read_custom_ids(reopen(), self._options, self._limit), self._problems)
        self._problems.raise_any()


def check_file(
    path: Path,
    provider: Provider | type[Provider],
    options: Options,
    settings: Settings,
    limit: int | None = None,
) -> None:
    """Check the rows of a file, all or the first `limit` lines, against the provider's rules.

    Raises:
        InvalidInputError: with all bad rows; each names file, line, field and remedy.
        ValidationError: the file is empty, or cannot be read.
    """
    check = RowCheck(provider, options, settings, path, limit)
    with readable(path) as stream:
        if all(line.isspace() for line in read_lines(stream)):
            raise ValidationError(f"input: {path} is empty: there is nothing to send")
        stream.seek(0)
        for line, request in check.read(stream):
            try:
                check.encode(check.accept(request), "0")
            except ValidationError as error:
                check.refuse(line, error)
        check.finish(lambda: path.open("rb"))


@contextmanager
def readable(path: Path) -> Iterator[BinaryIO]:
    """The file, for reading; what cannot be read is the user's to mend."""
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise ValidationError(f"input: {path} cannot be read: {error.strerror}") from error
    except ValidationError:
        raise
    except ValueError as error:  # a path with a null byte
        raise ValidationError(f"input: {str(path)!r} cannot be read: {error}") from error
