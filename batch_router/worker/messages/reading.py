"""Which reader a message is for: that depends on where it was."""

import msgspec
from msgspec import Raw

from ..queues import is_queue
from .control import read_answer, read_command
from .envelope import Refused, parse
from .events import read_event
from .tasks import read_task

# kombu makes a list for each priority of a queue: `io`, and `io`, this, and a number.
_PRIORITY = "\x06\x16"


def read_queued(raw: bytes, queue: str, prefix: str) -> bytes:
    """A message from a queue.

    Args:
        raw: it, as Redis had it.
        queue: without the fleet's prefix.
        prefix: the fleet's.

    Raises:
        Refused: it is not for us.
    """
    name = queue.partition(_PRIORITY)[0]
    if name.endswith(f".reply.{prefix}.pidbox"):
        return read_answer(raw, name)
    return read_task(raw, name)


def read_published(raw: bytes, channel: str, prefix: str) -> bytes:
    """A message from a channel: `/1.batch_router.pidbox`, `/1.batch_routerev/task.sent`.

    Raises:
        Refused: it is not for us.
    """
    exchange = channel.partition(".")[2].partition("/")[0]
    if exchange == f"{prefix}.pidbox":
        return read_command(raw, prefix)
    if exchange == f"{prefix}ev":
        return read_event(raw, exchange)
    raise Refused("not_our_exchange")


def read_unacked(raw: bytes, prefix: str) -> bytes:
    """A message that kombu keeps until it is acknowledged, with where to put it back.

    Raises:
        Refused: it did not come from a reader, or did not stay as that left it.
    """
    message, exchange, queue = parse(raw, tuple[Raw, str, str])
    if exchange or not is_queue(queue):
        raise Refused("not_our_queue")
    return msgspec.json.encode((Raw(read_queued(bytes(message), queue, prefix)), "", queue))
