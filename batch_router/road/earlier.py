"""Answers in storage that the store knows nothing of: it is older than they are, or it was rebuilt."""

import re
from typing import NamedTuple

import msgspec

from ..bounds import Bounds
from ..state.items import Shard
from ..state.parts import Fetched
from ..storage import StoredObject
from .answers import locate
from .context import Context
from .layout import shard_folder

_ANSWERS = re.compile(r"-answers-[0-9]+\.jsonl")
_RESULTS = "-results.jsonl"


class Earlier(NamedTuple):
    """Attributes: the `answers` of a shard, and whether they `are_all` that there ever were."""

    answers: tuple[Fetched, ...]
    are_all: bool

    @property
    def rows(self) -> int:
        """How many rows they answer."""
        return sum(each.rows for each in self.answers)


def earlier_answers(context: Context, shard: Shard) -> Earlier:
    """The answers to a shard's rows that lie in its folder, whichever claim fetched them; the same ones once.

    Results are written when all answers are here, and only after that a job is deleted.
    """
    objects = list(context.storage.list(shard_folder(shard, shard.label)))
    found = [each for each in objects if _ANSWERS.search(each.name)]
    answers = _of_different_rows(context, shard, sorted(found, key=lambda each: (-each.size, each.name)))
    has_results = any(each.name.endswith(_RESULTS) for each in objects)
    rows = sum(each.rows for each in answers)
    return Earlier(answers, are_all=rows >= shard.rows or (has_results and rows > 0))


def _of_different_rows(context: Context, shard: Shard, objects: list[StoredObject]) -> tuple[Fetched, ...]:
    """Of all objects those that answer a row that none before them answers."""
    answered = bytearray(shard.rows)
    kept = []
    for each in objects:
        fetched = Fetched(file=each.name, name=each.name, size=each.size, rows=0)
        rows = _rows_in(context, shard, fetched)
        if any(not answered[row] for row in rows):
            kept.append(msgspec.structs.replace(fetched, rows=len(rows)))
            for row in rows:
                answered[row] = 1
    return tuple(kept)


def _rows_in(context: Context, shard: Shard, fetched: Fetched) -> list[int]:
    """The numbers of the rows that an object has an answer to."""
    codec = context.clients.provider(shard.provider).codec
    alone = msgspec.structs.replace(shard, answers=(fetched,))
    located = locate(context.storage, alone, codec, context.settings.of(Bounds))
    return [row for row, length in enumerate(located.lengths) if length]
