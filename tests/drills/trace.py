"""What a process of the fleet does, seen at the four seams: store, client, storage, message.

Every effect passes one of them, and is told before it happens and after it has happened. There a drill may strike: the
process kills itself with its whole group, or stops. All of this is wrapped around the product from outside; the product
knows nothing of it.
"""

import dataclasses
import errno
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
from celery import current_task
from celery.signals import after_task_publish, before_task_publish, task_postrun

from batch_router.connect import open_context, open_store
from batch_router.exceptions import FileOperationError
from batch_router.road.callbacks import CallbackMessage, Deliver
from batch_router.road.context import Clients, Context
from batch_router.road.steps import notify
from batch_router.road.webhooks import post
from batch_router.settings import Settings
from batch_router.storage import FolderStorage
from batch_router.storage.contract import ReadRange, StoredObject
from batch_router.worker.delivery import deliver

#: The environment variable that names the folder of trace, plan and strikes.
FOLDER = "BATCH_ROUTER_DRILL"

# Seconds until a process that waits goes on by itself: no drill leaves one behind.
_LONGEST_WAIT = 60.0

# What looks and does not touch.
_READS = re.compile(
    r"now|name|unknown|get_\w+|iter_\w+|foreign_items|hold_back|quarantined\w*|accounts|undecided|has_company"
    r"|owned_jobs|unfetched_jobs_of|listeners|paused|bound_storage|close|address"
)
_OF_NO_ITEM = ("announce", "bind_storage")
_OF_AN_ACCOUNT = ("pause", "wake_owners", "begin_walk", "end_walk", "note_labels")
_THREADS = ("sweep", "watch", "journal", "lease-keeper", "job-watch")
_NUMBERS = re.compile(r"^\.?(\d+-)?(?:[0-9a-f]{8}){1,2}-|-\d+-[0-9a-f]{8}(?=\.json$)|-\d+(?=\.jsonl$)|\.jsonl?$")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Where to strike, once.

    Attributes:
        id: names the strike.
        effect: where; empty: at whatever the item meets next, once it is claimed.
        batch: whose items count; an effect of no item counts as well.
        do: the process is killed, stopped, or waits there until the runner lets it go on.
        follows: the strike that must have come before, at the same item; empty: none.
    """

    id: str
    when: Literal["before", "after"]
    effect: str
    batch: str
    do: Literal["kill", "stop", "wait"]
    follows: str = ""

    def is_at(self, event: "Event") -> bool:
        """Whether the strike is to come at this event, as far as the event says."""
        is_there = self.effect == event.effect or (not self.effect and not event.effect.endswith("/store.claim"))
        is_mine = event.item.partition(".")[0] == self.batch if event.item else bool(self.effect)
        return is_there and is_mine and self.when == event.when


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the trace: a process group is before or after an effect, or at the end of a task."""

    at: float
    worker: int
    when: Literal["before", "after", "end"]
    effect: str
    item: str


class Trace:
    """Tells what this process does; `outside` is what to call what happens in no task."""

    def __init__(self, folder: Path, outside: str) -> None:
        self._folder = folder
        self._outside = outside
        self._file = os.open(folder / "trace.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._here = threading.local()

    @property
    def place(self) -> str:
        """The step, or the thread beside the steps, that runs here."""
        name = threading.current_thread().name
        if name in _THREADS:
            return name
        return str(current_task.name).rpartition(".")[2] if current_task else self._outside

    @property
    def item(self) -> str:
        """What was claimed last in this thread."""
        return getattr(self._here, "item", "")

    @item.setter
    def item(self, item: str) -> None:
        self._here.item = item

    def tell(self, when: Literal["before", "after", "end"], effect: str, item: str) -> None:
        """Write it down, and strike if this is where."""
        event = Event(at=time.time(), worker=os.getpgid(0), when=when, effect=effect, item=item)
        line = msgspec.json.encode(event)
        os.write(self._file, line + b"\n")
        with suppress(FileNotFoundError):
            for plan in msgspec.json.decode((self._folder / "plan.json").read_bytes(), type=list[Plan]):
                if plan.is_at(event) and self._follows(plan, event):
                    self._strike(plan, line)

    def _follows(self, plan: Plan, event: Event) -> bool:
        if not plan.follows:
            return True
        with suppress(FileNotFoundError, msgspec.DecodeError):
            first = msgspec.json.decode((self._folder / f"{plan.follows}.fired").read_bytes(), type=Event)
            return first.item in ("", plan.batch, event.item)
        return False

    def _strike(self, plan: Plan, line: bytes) -> None:
        try:
            with (self._folder / f"{plan.id}.fired").open("xb") as fired:  # only one may
                fired.write(line)
        except FileExistsError:
            return
        match plan.do:
            case "kill":
                os.killpg(0, signal.SIGKILL)
            case "stop":  # to this very thread: sent to the process, it would stop a moment later
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            case "wait":
                deadline = time.monotonic() + _LONGEST_WAIT
                while not (self._folder / f"{plan.id}.go").exists() and time.monotonic() < deadline:
                    time.sleep(0.01)

    def is_broken(self, seam: str) -> bool:
        """Whether the runner wants calls of this seam to fail here; it says so with a regular expression in a file."""
        with suppress(FileNotFoundError):
            broken = (self._folder / "broken").read_text()
            return re.fullmatch(broken, f"{self.place}/{seam}") is not None
        return False

    @contextmanager
    def around(self, effect: str, item: str) -> Iterator[None]:
        """An effect that happens in the block; if that raises, it is not known whether it did."""
        self.tell("before", effect, item)
        yield
        self.tell("after", effect, item)


class _Store:
    """A store whose changes are told."""

    def __init__(self, real: Any, trace: Trace) -> None:
        self._real, self._trace = real, trace

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if _READS.fullmatch(name):
            return method

        def change(*args: Any, **options: Any) -> Any:
            if self._trace.is_broken("store"):
                raise RuntimeError("the drill wants this thread to meet an error that no code foresees")
            about = getattr(args[0], "id", args[0]) if args else ""
            item = about if isinstance(about, str) and name not in _OF_NO_ITEM else ""
            item = self._trace.item if name in _OF_AN_ACCOUNT else item
            facts = "".join(f" {'no ' * (value is None)}{fact}" for fact, value in (options.get("facts") or {}).items())
            place = self._trace.place
            if name == "bind_storage":
                place = "start"  # whatever a worker does first
            place = "lost" if name == "let_go" else place  # in whichever step the lease was lost
            effect = f"{place}/store.{name}{facts}"
            self._trace.tell("before", effect, item)
            result = method(*args, **options)
            if name == "claim" and result is not None:
                self._trace.item = item
            if result is not False and (result is not None or name not in ("claim", "commit", "decide")):
                self._trace.tell("after", effect, item)
            return result

        return change


class _Client:
    """A provider's client whose calls are told."""

    def __init__(self, real: Any, trace: Trace) -> None:
        self._real, self._trace = real, trace

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name in ("access", "close", "loaded"):
            return method

        def call(*args: Any, **options: Any) -> Any:
            with self._trace.around(f"{self._trace.place}/client.{name}", self._trace.item):
                result = method(*args, **options)
                return list(result) if isinstance(result, Iterator) else result

        return call


class _Clients(Clients):
    def __init__(self, settings: Settings, trace: Trace) -> None:
        super().__init__(settings)
        self._trace = trace

    def get(self, name: str, credential: str | None = None) -> Any:
        return _Client(super().get(name, credential), self._trace)


class _Storage(FolderStorage):
    """A storage whose changes are told. "Before" a write all is written, and nothing has its name yet."""

    def __init__(self, root: Path, trace: Trace) -> None:
        super().__init__(root)
        self._trace = trace

    def _check(self, name: str) -> None:
        """Raise what a folder on a server that is away raises."""
        if self._trace.is_broken("storage"):
            raise FileOperationError(f"{name}: {os.strerror(errno.EIO)}")

    def open(self, name: str) -> BinaryIO:
        self._check(name)
        return super().open(name)

    @contextmanager
    def ranges(self, name: str) -> Iterator[ReadRange]:
        self._check(name)
        with super().ranges(name) as read:
            yield read

    def size(self, name: str) -> int:
        self._check(name)
        return super().size(name)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        self._check(prefix)
        return super().list(prefix)

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        self._check(name)
        if name.startswith(("storage-marks/", "service-marks/")):  # once in a storage's life; several do no harm
            with super().write(name) as stream:
                yield stream
            return
        effect, item = f"{self._trace.place}/write {kind_of(name)}", self._trace.item
        with super().write(name) as stream:
            yield stream
            stream.flush()
            self._trace.tell("before", effect, item)
        self._trace.tell("after", effect, item)

    def delete(self, name: str) -> None:
        self._check(name)
        with self._trace.around(f"{self._trace.place}/delete {kind_of(name)}", self._trace.item):
            super().delete(name)

    def delete_all(self, name: str) -> None:
        self._check(name)
        with self._trace.around(f"{self._trace.place}/delete folder", self._trace.item):
            super().delete_all(name)


def kind_of(name: str) -> str:
    """What an object is, without the numbers in its name."""
    if name.startswith("accepted/"):
        return "mark"
    if name.startswith("spend/"):
        return "spend"
    return _NUMBERS.sub("", _NUMBERS.sub("", name.rpartition("/")[2]))


def open_traced_context(settings: Settings, outside: str = "submit") -> Context:
    """`open_context`, with all seams told; messages as well, from the first call on."""
    trace = Trace(Path(os.environ[FOLDER]), outside)
    context = open_context(settings, store=_Store(open_store(settings), trace))
    tell_messages(trace)
    notify.post = _told_post(trace)  # type: ignore[attr-defined]
    storage, clients = _Storage(settings.home, trace), _Clients(settings, trace)
    return dataclasses.replace(context, storage=storage, clients=clients, deliver=_told(trace))


def _told(trace: Trace) -> Deliver:
    """`deliver`, told: it sends without Celery, whose signals tell of all other messages."""

    def told(message: CallbackMessage, first: object) -> None:
        with trace.around(f"{trace.place}/deliver", trace.item):
            deliver(message, first)

    return told


def _told_post(trace: Trace) -> Callable[..., int]:
    """`post`, told, which sends a webhook."""

    def told(*arguments: Any) -> int:
        with trace.around(f"{trace.place}/post", trace.item):
            return post(*arguments)

    return told


def tell_messages(trace: Trace) -> None:
    """Every message that this process sends, and the end of every task."""

    def sending(body: Any, **_: Any) -> None:
        trace.tell("before", f"{trace.place}/publish", _item_of(body))

    def sent(body: Any, **_: Any) -> None:
        trace.tell("after", f"{trace.place}/publish", _item_of(body))

    def ended(task: Any, args: Any, **_: Any) -> None:
        trace.tell("end", task.name.rpartition(".")[2], _item_of((args,)))

    before_task_publish.connect(sending, weak=False, dispatch_uid="drill")
    after_task_publish.connect(sent, weak=False, dispatch_uid="drill")
    task_postrun.connect(ended, weak=False, dispatch_uid="drill")


def _item_of(body: Any) -> str:
    """The item of `([id, version],)`; none if a message carries something else."""
    first = body[0][0] if body[0] else None
    return str(first[0]) if isinstance(first, list) else ""
