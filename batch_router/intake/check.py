"""The check of a file's rows before anything is sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from ..exceptions import ValidationError
from ..jsonl import read_lines
from ..providers import Provider
from .encode import RowEncoder
from .options import Options
from .problems import DuplicateFinder, Problems
from .rows import read_custom_ids, read_rows


def check_file(path: Path, provider: Provider | type[Provider], options: Options, limit: int | None = None) -> None:
    """Check the rows of a file, all or the first `limit` lines, against the provider's rules.

    Raises:
        InvalidInputError: with all bad rows; each names file, line, field and remedy.
        ValidationError: the file is empty, or cannot be read.
    """
    problems = Problems(str(path))
    finder = DuplicateFinder()
    encoder = RowEncoder(provider, options.unsupported)
    with readable(path) as stream:
        if all(line.isspace() for line in read_lines(stream)):
            raise ValidationError(f"input: {path} is empty: there is nothing to send")
        stream.seek(0)
        for line, request in read_rows(islice(read_lines(stream), limit), options, problems):
            finder.add(request.custom_id)
            try:
                encoder.encode(request, "0")
            except ValidationError as error:
                problems.add(line, error)
        finder.report(lambda: read_custom_ids(path, options, limit), problems)
    problems.raise_any()


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
