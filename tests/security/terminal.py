"""A terminal of the tests' own, and what reached it."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

# Runs each command line in a child of one warm process; a line of the file has the exit code of each.
_DRIVER = """
import json, os, sys
from batch_router.cli import main
with open(sys.argv[2], "w") as codes:
    for arguments in json.loads(sys.argv[1]):
        if (child := os.fork()) == 0:
            sys.argv = ["batch-router", *arguments]
            main()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=codes, flush=True)
"""
# What a terminal acts on, and what reorders text: sequences as a whole, or the character alone.
_CONTROLS = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]|\x1b.|[\x00-\x09\x0b-\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]",
    re.DOTALL,
)


def run_on_terminal(home: Path, environment: dict[str, str], commands: str) -> tuple[str, list[int]]:
    """Run command lines (a JSON list of lists) on a new terminal: all that reached it, and the exit codes."""
    codes = home / "codes"
    here, there = pty.openpty()
    command = [sys.executable, "-c", _DRIVER, commands, str(codes)]
    wide = environment | {"COLUMNS": "400", "LINES": "50", "TERM": "xterm-256color"}
    with subprocess.Popen(command, env=wide, cwd=home, stdin=there, stdout=there, stderr=there) as process:
        os.close(there)
        shown = _read(here)
        process.wait()
    os.close(here)
    return shown.decode(), [int(code) for code in codes.read_text().split()]


def _read(terminal: int) -> bytes:
    """All that is written, until the last process has closed the terminal."""
    read = []
    try:
        while part := os.read(terminal, 65536):
            read.append(part)
    except OSError:  # how Linux says it
        pass
    return b"".join(read)


def controls(shown: str) -> set[str]:
    """What of it a terminal acts on, but line ends."""
    return set(_CONTROLS.findall(shown.replace("\r\n", "\n")))
