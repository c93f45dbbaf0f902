"""Command lines as a shell reads them, run in this process by `main`."""

import re
import shlex
import signal
import sys
from typing import NamedTuple

import pytest

from batch_router.cli import main

LONG = "3f1c2a9e-8f5e-4a7b-9c1d-" + "0" * 40  # an id of 64 characters, as many as one may have
HOSTILE = "\x1b[2J\x1b[31mred"  # what an answer may have, and no terminal is to obey
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ran(NamedTuple):
    """What a command did: its exit code, and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def sentence(self) -> str:
        """What went wrong, without the name of the program, the usage, and what was printed before."""
        return re.split(r"^(?:batch-router|Error): ", self.stderr, maxsplit=1, flags=re.MULTILINE)[-1].partition("\n")[
            0
        ]


def run_line(line: str, capsys: pytest.CaptureFixture[str]) -> Ran:
    """Run `VARIABLE=value batch-router command argument`."""
    words = shlex.split(line)
    handlers = [signal.getsignal(number) for number in _SIGNALS]
    with pytest.MonkeyPatch.context() as patch:
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            patch.setenv(name, value)
        patch.setattr(sys, "argv", words)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
    for number, handler in zip(_SIGNALS, handlers, strict=True):
        signal.signal(number, handler)
    return Ran(int(ended.value.code or 0), *capsys.readouterr())
