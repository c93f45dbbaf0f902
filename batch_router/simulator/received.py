"""What a provider was sent: the rows of its jobs, byte for byte, also those of files that were deleted since."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from .members import find_member
from .rows import read_lines

#: The names of a row's id and body, by the provider's folder.
_FIELDS = {
    "openai": ("custom_id", "body"),
    "anthropic": ("custom_id", "params"),
    "google": ("key", "request"),
}


class ReceivedRow(NamedTuple):
    """A row as it came in.

    Attributes:
        job: the provider's id of the job.
        id: the row's id; empty if it has none.
        line: the whole row.
        body: its `body` (OpenAI), `params` (Anthropic) or `request` (Google); empty if it has none.
    """

    provider: str
    job: str
    id: str
    line: bytes
    body: bytes


class Received:
    """The rows of one provider's jobs, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, job_id: str, rows: Path) -> Path:
        """Keep the rows of a job, one per line. It is another name of the same file, and costs no space."""
        kept = self._folder / quote(job_id, safe="")
        os.link(rows, kept)
        return kept


def received_rows(folder: Path) -> Iterator[ReceivedRow]:
    """The rows that all providers were sent, job by job, from the folder `received` of a simulator's directory."""
    for path in sorted(path for path in folder.glob("*/*") if path.is_file()):
        id_field, body_field = _FIELDS[path.parent.name]
        for line in read_lines(path):
            content = line.content.rstrip(b"\r\n")
            row_id = json.loads(_member(content, id_field) or b'""')
            yield ReceivedRow(path.parent.name, unquote(path.name), str(row_id), content, _member(content, body_field))


def _member(content: bytes, name: str) -> bytes:
    try:
        found = find_member(content, name)
    except ValueError:  # a line that is no JSON object
        return b""
    return content[found.start : found.end] if found else b""
