"""One stack per home: whose it is stands in a file of the home, which the stack locks for as long as it lives."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..exceptions import ValidationError
from ..security.files import open_private
from ..security.printable import printable

_FILE = "up.json"
_LONGEST = 1000
# A command that only looks has the lock for a moment.
_TRIES, _PAUSE = 3, 0.1


class _Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The stack that has a home."""

    pid: int
    host: str
    since: datetime
    simulated: bool

    def __str__(self) -> str:
        command = "batch-router up --simulate" if self.simulated else "batch-router up"
        host = "" if self.host == socket.gethostname() else f" on {printable(self.host, 100)}"
        return f"`{command}`{host} (process {self.pid}, since {self.since.astimezone():%Y-%m-%d %H:%M:%S})"


@contextmanager
def own(home: Path, *, simulated: bool) -> Iterator[None]:
    """Have a home while the block runs. The system drops the lock with this process, however it dies.

    Raises:
        ValidationError: another stack has it; says which one and what to do.
    """
    file = open_private(home / _FILE, os.O_RDWR | os.O_CREAT)
    try:
        _take(file, home)
        owner = _Owner(pid=os.getpid(), host=socket.gethostname(), since=datetime.now(UTC), simulated=simulated)
        os.truncate(file, 0)
        os.pwrite(file, msgspec.json.encode(owner), 0)
        yield
    finally:
        os.close(file)


def is_owned(home: Path) -> bool:
    """Whether a stack has this home: one that starts has it before its server answers.

    Raises:
        ValidationError: the home, or what lies in it, could have been prepared by another user.
    """
    try:
        file = open_private(home / _FILE, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _lock(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _take(file: int, home: Path) -> None:
    for _ in range(_TRIES):
        if _lock(file, fcntl.LOCK_EX):
            return
        time.sleep(_PAUSE)
    raise ValidationError(_in_use(home, file))


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_use(home: Path, file: int) -> str:
    try:
        owner = str(msgspec.json.decode(os.pread(file, _LONGEST, 0), type=_Owner))
    except msgspec.DecodeError:  # it is just writing its name
        owner = "another `batch-router up`"
    return (
        f"{owner} already runs in {printable(str(home.absolute()), 500)}: submit to it, end it first, or set"
        " BATCH_ROUTER_HOME to another folder for a stack beside it"
    )
