"""Tasks of the user's app for the end of a batch: Celery makes their messages here, in his process, and sends none."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import msgspec
from celery import Celery, group
from celery.canvas import Signature, _chord, maybe_signature
from celery.utils.functional import maybe_list
from kombu.utils import json

from ..connect import broker_server
from ..exceptions import ValidationError
from ..road.callbacks import CallbackMessage
from ..security.printable import printable
from ..security.redis_url import RedisServer, is_same_database, read_redis_url
from ..settings import Settings

# Of one batch, and bytes of each.
_MOST, _LARGEST = 16, 64 << 10
# Characters of an error or a name that are shown.
_SHOWN = 200
# Stands for the argument that the batch adds.
_PLACE = "<of the batch>"
# What of a call of kombu's `publish` goes to the worker; it has its own retries and serializer.
_PROPERTIES = frozenset(
    {"exchange", "routing_key", "compression", "delivery_mode", "priority"} | {"correlation_id", "reply_to"}
)
# Options of the app's transport that decide about the name of a queue's list.
_TRANSPORT = ("global_keyprefix", "priority_steps", "sep")


class Wanted(NamedTuple):
    """What a caller wants to be sent at the end of his batch, as Celery's `apply_async` names it.

    Attributes:
        link: on success: a signature, or several.
        link_error: on any other end: likewise.
        chain: on success: the rest of a chain, the last task first.
        root_id: of the task that all of it belongs to.
    """

    link: Any = None
    link_error: Any = None
    chain: Sequence[Any] = ()
    root_id: str | None = None

    def messages(self, batch_id: str) -> list[CallbackMessage]:
        """The messages for a batch.

        Raises:
            ValidationError: one cannot be sent; says what to do.
        """
        made = [_message_of(each, place, batch_id, self.root_id) for place, each in enumerate(self._signatures())]
        if len(made) > _MOST:
            raise ValidationError(f"link: {len(made)} tasks; a batch takes {_MOST}: let one of them send the others")
        return made

    def _signatures(self) -> "Iterator[_Called]":
        for each in _flat(self.link):
            yield _Called("link", each)
        if self.chain:
            *rest, first = self.chain
            yield _Called("chain", maybe_signature(first), rest)
        for each in _flat(self.link_error):
            yield _Called("link_error", each)


@contextmanager
def wanted_by_name(link: Any, link_error: Any, chain: Any) -> Iterator[Wanted]:
    """What another app wants, whose tasks came in a message: its routes are not known, so each is to name its queue.

    Args:
        link: records of signatures, or None.
        link_error: likewise.
        chain: likewise.
    """
    with Celery("", broker=broker_server(Settings.from_env()).url, set_as_current=False) as sender:
        link, link_error, chain = (
            [Signature.from_dict(msgspec.to_builtins(each), app=sender) for each in given or ()]
            for given in (link, link_error, chain)
        )
        yield Wanted(link, link_error, chain)


class _Called(NamedTuple):
    option: str
    signature: Signature
    chain: Sequence[Any] = ()


class _Recorder:
    """What Celery publishes with: it keeps the messages of tasks."""

    def __init__(self) -> None:
        self.published: list[tuple[Any, dict[str, Any]]] = []
        self.connection = self

    def _reraise_as_library_errors(self) -> AbstractContextManager[None]:
        return nullcontext()

    def publish(self, body: Any, **options: Any) -> None:
        """Called by Celery for a task, and for the event that it was sent."""
        if "task" in (options.get("headers") or {}):
            self.published.append((body, options))


def _flat(given: Any) -> Iterator[Signature]:
    for each in maybe_list(given) or ():
        signature = maybe_signature(each)
        if isinstance(signature, group):
            yield from _flat(list(signature.tasks))
        else:
            yield signature


def _message_of(called: _Called, place: int, batch_id: str, root_id: str | None) -> CallbackMessage:
    option, signature = called.option, called.signature
    name = printable(str(signature.get("task")), _SHOWN)
    if isinstance(signature, (group, _chord)) or name.startswith("batch_router."):
        raise ValidationError(f"{option}: {name} cannot be sent by a batch; link a task of yours that sends it")
    if signature.app.conf.task_always_eager:
        raise ValidationError(f"{option}: the app of {name} has task_always_eager, so no worker would take the task")
    task_id = signature.options.get("task_id") or str(uuid5(NAMESPACE_URL, f"batch_router:{batch_id}/{place}"))
    body, options = _published(
        called, name, {"task_id": task_id, "parent_id": batch_id, "root_id": root_id or batch_id}
    )
    return _checked(option, name, signature.app, body, options)


def _published(called: _Called, name: str, ids: dict[str, str]) -> tuple[Any, dict[str, Any]]:
    """What Celery would publish for the task."""
    recorder = _Recorder()
    rest = {"chain": list(called.chain)} if called.chain else {}
    try:
        called.signature.apply_async((_PLACE,), producer=recorder, add_to_parent=False, **ids, **rest)
    except TypeError as error:
        given = "the batch's id" if called.option == "link_error" else "the manifest"
        remedy = f"{name} is sent with {given} as its first argument, and with those of its signature"
        raise ValidationError(f"{called.option}: {printable(str(error), _SHOWN)}; {remedy}") from None
    if len(recorder.published) != 1:
        raise ValidationError(f"{called.option}: {name} is sent as {len(recorder.published)} messages; link tasks")
    return recorder.published[0]


def _checked(option: str, name: str, app: Celery, body: Any, options: dict[str, Any]) -> CallbackMessage:
    headers = options["headers"]
    if not isinstance(body, tuple) or options["serializer"] != "json":
        raise ValidationError(
            f"{option}: {name} is not sent as JSON in Celery's protocol 2; set its serializer to 'json'"
        )
    if headers.get("eta") or headers.get("expires"):
        raise ValidationError(f"{option}: {name} has a countdown, eta or expiry, which would count from the submission")
    args, kwargs, follows = body
    takes = bool(args) and args[0] == _PLACE
    properties = {key: value for key, value in options.items() if key in _PROPERTIES and value is not None}
    properties["exchange"] = getattr(properties.get("exchange"), "name", properties.get("exchange", ""))
    transport = app.conf.broker_transport_options
    made = {
        "broker": _broker_of(option, app),
        "task": name,
        "on_error": option == "link_error",
        "takes": takes,
        "body": (args[1:] if takes else args, kwargs, follows),
        "headers": headers,
        "properties": properties,
        "transport": {key: transport[key] for key in _TRANSPORT if key in transport},
    }
    return _plain(option, name, made)


def _plain(option: str, name: str, made: dict[str, Any]) -> CallbackMessage:
    """The message as JSON has it: Celery's arguments may be dates, and the like."""
    try:
        written = json.dumps(made).encode()
    except Exception as error:  # kombu's, or whatever an object of the user raises
        raise ValidationError(f"{option}: {name} has an argument that is no JSON ({type(error).__name__})") from None
    if len(written) > _LARGEST:
        raise ValidationError(f"{option}: {name} has arguments of more than {_LARGEST >> 10} KiB; send where they lie")
    return msgspec.json.decode(written, type=CallbackMessage)


def _broker_of(option: str, app: Celery) -> str | None:
    """The name of the app's broker; None: it is ours.

    Raises:
        ValidationError: the workers would send to another one than the app's workers listen to.
    """
    settings, name = Settings.from_env(), str(app.main)
    if (url := settings.callback_brokers.get(name)) is not None:
        read_redis_url("BATCH_ROUTER_CALLBACK_BROKERS", url, settings.redis_ca)
        return name
    if is_same_database(_server_of(app), broker_server(settings)):
        return None
    raise ValidationError(
        f"{option}: the app {printable(name, _SHOWN)!r} has another broker than batch_router; name it here and for the "
        f'workers: BATCH_ROUTER_CALLBACK_BROKERS=\'{{"{printable(name, _SHOWN)}": "redis://..."}}\''
    )


def _server_of(app: Celery) -> RedisServer | None:
    """The app's broker, if it is one that we could send to."""
    try:
        return read_redis_url("the app's broker", str(app.conf.broker_write_url or ""))
    except ValidationError:
        return None
