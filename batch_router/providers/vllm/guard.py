"""`python guard.py COMMAND...`: runs an engine, and ends it when whoever started this has died.

Its standard input is a pipe from the worker, which the system closes however the worker goes. vLLM itself lives on
then, in processes of its own, and holds the GPU's memory. A script of the standard library alone: it starts at once.
"""

import os
import signal
import subprocess
import sys
import threading
from types import FrameType

# After SIGINT vLLM ends within five seconds.
END_WITHIN = 10.0


def main() -> int:
    """Run the engine to its end; its exit code."""
    signal.signal(signal.SIGINT, _leave_it_to_the_engine)
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as engine:
        threading.Thread(target=_end_with_the_worker, args=(engine,), daemon=True).start()
        code = engine.wait()
    return code if code >= 0 else 128 - code


def _leave_it_to_the_engine(number: int, frame: FrameType | None) -> None:
    """The whole group gets the signal, and the engine ends by it. To ignore it would make the engine ignore it, too."""


def _end_with_the_worker(engine: "subprocess.Popen[bytes]") -> None:
    sys.stdin.buffer.read()  # to the end of the pipe: nothing is ever written
    os.killpg(0, signal.SIGINT)
    try:
        engine.wait(END_WITHIN)
    finally:
        os.killpg(0, signal.SIGKILL)  # and what it has started


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread still reads
