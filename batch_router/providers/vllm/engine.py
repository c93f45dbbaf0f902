"""One `vllm` process and all that it starts: in a group of its own, so that nothing of it outlives its job.

After SIGTERM or SIGKILL of the parent alone, vLLM's engine processes live on and hold the GPU's memory. So an engine is
ended by its group, SIGINT first: by us, by its guard if we die, and if that dies too by whoever takes the job over, for
the group is written down.
"""

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from . import guard
from .errors import EngineMissingError

_GUARD = Path(guard.__file__)
LOOK_EVERY = 0.2
# Process start times are read with this precision.
_SAME_START = 2.0


class _Group(msgspec.Struct):
    """A process group, and where its number means something: in a container that began at that time, or on a host."""

    pid: int
    started: float
    machine: str
    machine_started: float


def run(command: Sequence[str], *, record: Path, log: Path, should_end: Callable[[], bool]) -> int | None:
    """Run an engine to its end.

    Args:
        command: what to run.
        record: where its process group is written down while it runs.
        log: takes what it says.
        should_end: looked at all the time; once it is true, the engine is ended.

    Returns:
        The exit code; None if it was ended on request.

    Raises:
        EngineMissingError: the command is not there, or cannot be run.
        OSError: the log or the record cannot be written.
    """
    process = start(command, record=record, log=log)
    try:
        while (code := process.poll()) is None:
            if should_end():
                return None
            time.sleep(LOOK_EVERY)
        return code
    finally:
        end(process, record)


def start(
    command: Sequence[str], *, record: Path, log: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start an engine, to be ended by `end`; `environment` is beside ours. Raises as `run` does."""
    if shutil.which(command[0]) is None:
        raise EngineMissingError(
            "vllm",
            0,
            f"{command[0]} cannot be run: install vllm where the GPU workers run, or set BATCH_ROUTER_VLLM_COMMAND",
        )
    with log.open("wb") as said:
        guarded = [sys.executable, "-I", str(_GUARD), *command]
        process = subprocess.Popen(
            guarded,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    try:
        record.write_bytes(msgspec.json.encode(describe(process.pid)))
    except BaseException:
        end(process, record)
        raise
    return process


def end(process: "subprocess.Popen[bytes]", record: Path) -> None:
    """End an engine with all that it has started, and forget it."""
    _end_group(process.pid)
    process.communicate()  # closes the pipe, too
    # Who lost the job meanwhile does not take away the record of who has it now.
    if (group := _read(record)) is not None and group.pid == process.pid:
        record.unlink(missing_ok=True)


def was_ended_from_outside(code: int) -> bool:
    """Whether no row did this: somebody took the job over, or the system its memory back."""
    return code < 0 or code in {128 + number for number in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM)}


def end_leftover(record: Path) -> None:
    """End the engine that a dead worker of ours left behind, and nothing else that may have its number by now."""
    group = _read(record)
    if group is None:
        return
    if group.machine != platform.node():
        return  # whoever runs there next ends it
    if _is_same(group):
        _end_group(group.pid)
    record.unlink(missing_ok=True)


def describe(pid: int) -> _Group:
    """What to write down of a process group, to know it again."""
    return _Group(pid, psutil.Process(pid).create_time(), platform.node(), _machine_started())


def _machine_started() -> float:
    """When the machine did, or the container that we are in."""
    try:
        return float(psutil.Process(1).create_time())
    except psutil.Error:  # where users do not see each other's processes
        return float(psutil.boot_time())


def _is_same(group: _Group) -> bool:
    if abs(_machine_started() - group.machine_started) >= _SAME_START:
        return False
    try:
        return bool(abs(psutil.Process(group.pid).create_time() - group.started) < _SAME_START)
    except psutil.NoSuchProcess:
        return True  # the system gives no new process the number of a group that is still there


def _read(record: Path) -> _Group | None:
    try:
        return msgspec.json.decode(record.read_bytes(), type=_Group)
    except (FileNotFoundError, msgspec.DecodeError):  # a ValidationError is one, too
        return None


def _end_group(group: int) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        deadline = time.monotonic() + guard.END_WITHIN
        with suppress(ProcessLookupError, PermissionError):  # macOS refuses where only zombies are left
            os.killpg(group, number)
        while _is_alive(group) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY / 4)


def _is_alive(group: int) -> bool:
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
