"""Remote control: commands to the workers, and their answers."""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from .envelope import Id, Node, Refused, open_envelope, parse, seal

# An answer of a busy worker lists all its tasks; a command has a few names.
_MOST_OF_A_COMMAND = 64 << 10


# Celery's `conf` has numbers without an end, which no JSON has.
_ENDLESS = re.compile(rb": -?Infinity(?=[,}])")


_Ids = Annotated[list[Id], Meta(max_length=100)]


class _Arguments(msgspec.Struct):
    """Those of the commands that are obeyed. All else is left out: names of attributes to show, a signal to send."""

    with_defaults: bool = False
    ids: _Ids = []
    task_id: Id | _Ids = []


class _ReplyTo(msgspec.Struct, forbid_unknown_fields=True):
    exchange: str
    routing_key: Id


class _Command(msgspec.Struct):
    """As kombu's mailbox writes one. A pattern, which may be a regular expression without an end, is not taken."""

    method: Annotated[str, Meta(pattern=r"\A[a-z_]{1,40}\Z")]
    arguments: _Arguments | None = None
    destination: Annotated[list[Node], Meta(max_length=1000)] | None = None
    pattern: None = None
    matcher: None = None
    ticket: Id | None = None
    reply_to: _ReplyTo | None = None


class _Ticket(msgspec.Struct):
    ticket: Id


def read_command(raw: bytes, prefix: str) -> bytes:
    """A command, whose answer goes where those of this fleet go.

    Raises:
        Refused: it is none.
    """
    _, body = open_envelope(raw)
    if len(body) > _MOST_OF_A_COMMAND:
        raise Refused("too_large")
    command: _Command = parse(body, _Command)
    if command.reply_to is not None and command.reply_to.exchange != f"reply.{prefix}.pidbox":
        raise Refused("not_our_reply")
    given = command.arguments or _Arguments()
    taken: dict[str, dict[str, Any]] = {
        "conf": {"with_defaults": given.with_defaults},
        "query_task": {"ids": given.ids},
        "revoke": {"task_id": given.task_id},
    }
    made = msgspec.structs.asdict(command) | {"arguments": taken.get(command.method, {})}
    return seal({}, made, exchange=f"{prefix}.pidbox")


def read_answer(raw: bytes, queue: str) -> bytes:
    """What a worker answered: its name, and any data.

    Raises:
        Refused: it is no answer.
    """
    opened, body = open_envelope(raw)
    headers: _Ticket = parse(opened, _Ticket)
    answer = parse(_ENDLESS.sub(b": null", body), dict[Node, Any])
    return seal({"ticket": headers.ticket}, answer, queue=queue)
