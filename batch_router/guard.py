"""`python guard.py COMMAND...`: runs a program, and ends it when the process that started the guard has died.

Its standard input is a pipe from that process, which the system closes however the process dies. Without a guard, vLLM
would live on in processes of its own and hold the GPU's memory, and the workers of `batch-router up` would spoil the
next stack. The guard and all that it runs are one process group. It imports the standard library alone, to start fast.
"""

import os
import signal
import subprocess
import sys
import threading
from types import FrameType

#: Seconds from SIGINT to SIGKILL. vLLM ends within five.
END_WITHIN = 10.0


def main() -> int:
    """Run the program to its end; its exit code."""
    signal.signal(signal.SIGINT, _leave_it_to_the_program)
    is_alone = threading.Event()
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as program:
        ending = threading.Thread(target=_end_with_the_owner, args=(program, is_alone), daemon=True)
        ending.start()
        code = program.wait()
    if is_alone.is_set():
        ending.join()  # it ends what the program has left behind, and the guard
    return code if code >= 0 else 128 - code


def _leave_it_to_the_program(number: int, frame: FrameType | None) -> None:
    """Do nothing: the whole group gets the signal, and the program ends by it. An ignored signal would be inherited."""


def _end_with_the_owner(program: "subprocess.Popen[bytes]", is_alone: threading.Event) -> None:
    sys.stdin.buffer.read()  # to the end of the pipe: nothing is ever written
    is_alone.set()
    os.killpg(0, signal.SIGINT)
    try:
        program.wait(END_WITHIN)
    finally:
        os.killpg(0, signal.SIGKILL)  # the program's own processes, too


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread still reads
