"""Rows from the standard input, which can be read once: `batch-router convert -`."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..bounds import Bounds, beyond
from ..exceptions import ValidationError
from ..intake.options import STANDARD_INPUT
from ..settings import Settings

#: How the standard input is named in place of a file.
STREAM: Final = Path("-")

_BLOCK = 1 << 20


@contextmanager
def file_of(file: Path, settings: Settings) -> Iterator[tuple[Path, Path]]:
    """The path to read, and what problems call it; a private copy of the standard input, while the block runs.

    Raises:
        ValidationError: there is more of it than an input may have.
    """
    if file != STREAM:
        yield file, file
        return
    most = settings.of(Bounds).max_input_bytes
    with tempfile.NamedTemporaryFile(prefix="batch-router-") as copy:
        while block := sys.stdin.buffer.read(_BLOCK):
            copy.write(block)
            if copy.tell() > most:
                raise ValidationError(f"input: {beyond('max_input_bytes', most)} bytes; split the batch")
        copy.flush()
        yield Path(copy.name), STANDARD_INPUT
