"""One `vllm` process and all that it starts, in a process group of its own, so that nothing of it outlives its job.

After SIGTERM or SIGKILL of the parent alone, vLLM's engine processes live on and hold the GPU's memory. So an engine is
ended by its group, SIGINT first: by its worker; by its guard, if the worker dies; and by the next worker that takes the
job over, if the guard dies, too, for the group is recorded in a file.
"""

import os
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

from .... import guard
from ....security.files import open_regular
from ..errors import NAME, EngineMissingError
from .environment import engine_environment
from .record import describe_group, read_record

_GUARD = Path(guard.__file__)
# Engines fetch nothing; if one did, it would follow no redirect.
_OF_ENGINES = {"VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0"}
#: Seconds between two looks at a process.
LOOK_EVERY = 0.2
# What a shell, and our guard, make of a signal.
_EXIT_CODES_OF_SIGNALS = frozenset(128 + number for number in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM))


def run(command: Sequence[str], *, folder: Path, record: Path, log: Path, should_end: Callable[[], bool]) -> int | None:
    """Run an engine to its end.

    Args:
        command: what to run.
        folder: where it works.
        record: where its process group is recorded while it runs.
        log: takes its output.
        should_end: called several times a second; once it is true, the engine is ended.

    Returns:
        The exit code; None if it was ended because `should_end` was true.

    Raises:
        EngineMissingError: the command is not there, or cannot be run.
        OSError: the log or the record cannot be written.
    """
    process = start(command, folder=folder, record=record, log=log)
    try:
        while (code := process.poll()) is None:
            if should_end():
                return None
            time.sleep(LOOK_EVERY)
        return code
    finally:
        end(process, record)


def start(
    command: Sequence[str], *, folder: Path, record: Path, log: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start an engine, to be ended by `end`; `environment` is added to that of engines. Raises as `run` does."""
    program = shutil.which(command[0])
    if program is None:
        message = (
            f"{command[0]} cannot be run: install vllm where the GPU workers run, or set BATCH_ROUTER_VLLM_COMMAND"
        )
        raise EngineMissingError(NAME, 0, message)
    with open(log, "wb", opener=open_regular) as output:
        process = subprocess.Popen(
            [sys.executable, "-I", str(_GUARD), str(Path(program).absolute()), *command[1:]],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=folder,
            env=engine_environment() | _OF_ENGINES | dict(environment or {}),
        )
    try:
        with open(record, "wb", opener=open_regular) as stream:
            stream.write(msgspec.json.encode(describe_group(process.pid)))
    except BaseException:
        end(process, record)
        raise
    return process


def end(process: "subprocess.Popen[bytes]", record: Path) -> None:
    """End an engine with all that it has started, and delete its record."""
    end_group(process.pid)
    process.communicate()  # closes the pipe, too
    # A worker that has lost the job does not delete the record of the worker that has it now.
    if (group := read_record(record)) is not None and group.pid == process.pid:
        record.unlink(missing_ok=True)


def was_ended_from_outside(code: int) -> bool:
    """Whether another worker or the system ended the engine, so that none of its rows is to blame."""
    return code < 0 or code in _EXIT_CODES_OF_SIGNALS


def end_group(group: int) -> None:
    """End all processes of a group, by SIGINT, then by SIGKILL."""
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
