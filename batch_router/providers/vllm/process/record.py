"""What is written down of a process group, so that another process can recognise it and end it."""

import platform
from pathlib import Path
from typing import Annotated

import msgspec
import psutil
from msgspec import Meta

from ....exceptions import ValidationError
from ....security.files import read_private

# Process start times are read with this precision, in seconds.
_SAME_START = 2.0
_MOST_BYTES = 4096


class GroupRecord(msgspec.Struct, frozen=True):
    """A process group, and where its number means something: in a container that began at that time, or on a host."""

    # To the system, 0 is our own group, and 1 all processes.
    pid: Annotated[int, Meta(gt=1)]
    started: float
    machine: str
    machine_started: float


def describe_group(pid: int) -> GroupRecord:
    """The record of the group whose leader is this process."""
    return GroupRecord(pid, psutil.Process(pid).create_time(), platform.node(), _machine_started())


def read_record(path: Path) -> GroupRecord | None:
    """The record in a file; None if there is none, it cannot be read, or another user could have written it."""
    try:
        return msgspec.json.decode(read_private(path, _MOST_BYTES), type=GroupRecord)
    except (FileNotFoundError, ValidationError, msgspec.DecodeError):  # a wrong type is one of the last, too
        return None


def is_on_this_machine(group: GroupRecord) -> bool:
    """Whether the group was started here; only a worker of its own machine can end it."""
    return group.machine == platform.node()


def is_running(group: GroupRecord) -> bool:
    """Whether the number still belongs to this very group, and not to a later process."""
    if abs(_machine_started() - group.machine_started) >= _SAME_START:
        return False
    try:
        return bool(abs(psutil.Process(group.pid).create_time() - group.started) < _SAME_START)
    except psutil.NoSuchProcess:
        return True  # the system gives no new process the number of a group that still has members


def _machine_started() -> float:
    """When this machine, or this container, was started."""
    try:
        return float(psutil.Process(1).create_time())
    except psutil.Error:  # where users do not see each other's processes
        return float(psutil.boot_time())
