"""`python guard.py COMMAND...`: runs an engine, and ends it when the worker that started the guard has died.

Its standard input is a pipe from the worker, which the system closes however the worker dies. Without a guard, vLLM
would live on in processes of its own, and hold the GPU's memory. It imports the standard library alone, to start fast.
"""

import os
import signal
import subprocess
import sys
import threading
from types import FrameType

#: Seconds. After SIGINT vLLM ends within five.
END_WITHIN = 10.0


def main() -> int:
    """Run the engine to its end; its exit code."""
    signal.signal(signal.SIGINT, _leave_it_to_the_engine)
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as engine:
        threading.Thread(target=_end_with_the_worker, args=(engine,), daemon=True).start()
        code = engine.wait()
    return code if code >= 0 else 128 - code


def _leave_it_to_the_engine(number: int, frame: FrameType | None) -> None:
    """Do nothing: the whole group gets the signal, and the engine ends by it. An ignored signal would be inherited."""


def _end_with_the_worker(engine: "subprocess.Popen[bytes]") -> None:
    sys.stdin.buffer.read()  # to the end of the pipe: nothing is ever written
    os.killpg(0, signal.SIGINT)
    try:
        engine.wait(END_WITHIN)
    finally:
        os.killpg(0, signal.SIGKILL)  # the engine's own processes, too


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread still reads
