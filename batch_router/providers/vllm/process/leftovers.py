"""Engines that a dead worker left running are ended by their records, and no other process is."""

import fcntl
from contextlib import suppress
from pathlib import Path

from ....security.files import open_regular
from .group import end_group
from .record import is_on_this_machine, is_running, read_record


def end_leftover(record: Path) -> None:
    """End the engine of a record, if it is on this machine and still the one that was recorded."""
    group = read_record(record)
    if group is None or not is_on_this_machine(group):
        return
    if is_running(group):
        end_group(group.pid)
    record.unlink(missing_ok=True)


def end_leftover_servers(folder: Path) -> None:
    """End the servers of dead workers: the records whose lock no process holds any more."""
    for record in folder.glob("*.json"):
        with suppress(OSError), open(record.with_suffix(".lock"), "r+b", opener=open_regular) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            end_leftover(record)
