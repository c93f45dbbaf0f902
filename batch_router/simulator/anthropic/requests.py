"""The body of a create: read as a stream, checked, and written one request per line."""

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..account import CHUNK
from ..answers import prompt_of, refusal_for
from ..rows import seeded
from ..scenario import Scenario
from .jobs import MessageBatch

_MOST_ROWS = 100_000
_ROW_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_BEGINNING = re.compile(r'\s*\{\s*"requests"\s*:\s*\[\s*')
_BETWEEN = re.compile(r"\s*,?\s*")
_END = re.compile(r"\s*\]\s*\}\s*")
_NOT_JSON = "The request body is not valid JSON"


class BadBatchError(Exception):
    """Why a batch is refused as a whole."""


def split_requests(body: Path, batch: MessageBatch, scenario: Scenario) -> None:
    """Check the body of a create, and write its requests to `batch.rows`, one per line, each as it came.

    Line feeds between the tokens of a request become spaces.

    Raises:
        BadBatchError: one bad request refuses them all.
    """
    seen: set[str] = set()
    offset = 0
    with body.open("rb") as stream, batch.rows.open("wb") as rows:
        for number, (row, text) in enumerate(_RequestReader(stream)):
            custom_id = _checked_id(row, number, seen)
            seen.add(custom_id)
            if refusal := refusal_for(scenario, prompt_of(row["params"]), custom_id, job=True):
                raise BadBatchError(f"requests.{number}.params: {refusal.message}")
            batch.first_row = batch.first_row or custom_id
            batch.offsets.append(offset)
            offset += rows.write(text.replace("\n", " ").encode() + b"\n")
    if not batch.offsets:
        raise BadBatchError("requests: List should have at least 1 item after validation, not 0")
    if len(batch.offsets) > _MOST_ROWS:
        raise BadBatchError(f"requests: List should have at most {_MOST_ROWS} items after validation")
    seeded(scenario.seed, batch.id).shuffle(batch.offsets)


def _checked_id(row: Any, number: int, seen: set[str]) -> str:
    custom_id = row.get("custom_id") if isinstance(row, dict) else None
    if not isinstance(custom_id, str) or not _ROW_ID.fullmatch(custom_id):
        pattern = "'^[a-zA-Z0-9_-]{1,64}$'"
        raise BadBatchError(f"requests.{number}.custom_id: String should match pattern {pattern}")
    if custom_id in seen:
        raise BadBatchError(f"requests.{number}.custom_id: custom_ids must be unique, {custom_id} is not")
    if not isinstance(row.get("params"), dict):
        raise BadBatchError(f"requests.{number}.params: Field required")
    return custom_id


class _RequestReader:
    """The members of `requests` and their texts, one by one: a body may have 256 MB, and is never whole in memory.

    A member that ends beyond the text read so far does not parse; the reader then reads more and parses again.
    """

    def __init__(self, body: BinaryIO) -> None:
        self._body = body
        self._decoder = getincrementaldecoder("utf-8")()
        self._parse = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0
        self._all_read = False

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        while not (beginning := _BEGINNING.match(self._text)):
            self._read_more()
        self._at = beginning.end()
        while not self._is_at_end():
            start = _BETWEEN.match(self._text, self._at)
            assert start  # it also matches nothing
            try:
                row, self._at = self._parse(self._text, start.end())
            except ValueError:
                self._read_more()
            else:
                yield row, self._text[start.end() : self._at]

    def _is_at_end(self) -> bool:
        return self._all_read and _END.fullmatch(self._text, self._at) is not None

    def _read_more(self) -> None:
        if self._all_read:
            raise BadBatchError(_NOT_JSON)
        self._text, self._at = self._text[self._at :], 0
        block = self._body.read(max(CHUNK, len(self._text)))
        self._all_read = not block
        try:
            self._text += self._decoder.decode(block, final=self._all_read)
        except UnicodeDecodeError:
            raise BadBatchError(_NOT_JSON) from None
