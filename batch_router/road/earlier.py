"""Answers in storage that the store knows nothing of: it is older than they are, or it was rebuilt."""

import re

import msgspec

from ..bounds import Bounds
from ..state.items import Fetched, Shard
from .answers import locate
from .context import Context
from .layout import shard_folder

_ANSWERS = re.compile(r"-answers-[0-9]+\.jsonl")


def earlier_answers(context: Context, shard: Shard) -> tuple[Fetched, ...]:
    """The answers to a shard's rows that lie in its folder, whichever claim fetched them; the same ones once."""
    names = [each for each in context.storage.list(shard_folder(shard, shard.label)) if _ANSWERS.search(each.name)]
    answered = bytearray(shard.rows)
    kept = []
    for each in sorted(names, key=lambda found: (-found.size, found.name)):
        fetched = Fetched(file=each.name, name=each.name, size=each.size, rows=0)
        rows = _rows_in(context, shard, fetched)
        if any(not answered[row] for row in rows):
            kept.append(msgspec.structs.replace(fetched, rows=len(rows)))
            for row in rows:
                answered[row] = 1
    return tuple(kept)


def are_whole(shard: Shard, answers: tuple[Fetched, ...]) -> bool:
    """Whether the answers are as many as the shard's rows."""
    return sum(each.rows for each in answers) >= shard.rows


def _rows_in(context: Context, shard: Shard, fetched: Fetched) -> list[int]:
    """The numbers of the rows that an object has an answer to."""
    codec = context.clients.provider(shard.provider).codec
    alone = msgspec.structs.replace(shard, answers=(fetched,))
    located = locate(context.storage, alone, codec, context.settings.of(Bounds))
    return [row for row, length in enumerate(located.lengths) if length]
