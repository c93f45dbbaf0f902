"""The command line on terminals of 80 and 120 columns, in bash, and for programs."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from batch_router.cli import cli
from batch_router.cli.terminal import SafeConsole
from batch_router.road.context import Context
from tests.cli.commands import LONG
from tests.conftest import ROOT


class Screen:
    """A tmux of this test's own.

    Args:
        folder: for its socket.
        columns: how wide it is.
    """

    def __init__(self, folder: Path, columns: int) -> None:
        self._tmux = ["tmux", "-S", str(folder / f"tmux{columns}")]
        self._call("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", "40", "env PS1='$ ' sh")

    def _call(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout

    def type(self, *keys: str) -> None:
        self._call("send-keys", *keys)

    def wait_for(self, words: str) -> str:
        """What is on it, once these words are."""
        deadline = time.monotonic() + 60
        while words not in (shown := self._call("capture-pane", "-p")):
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        return shown

    def close(self) -> None:
        self._call("kill-server")


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not on this machine")
@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.usefixtures("context")
def test_a_terminal_shows_ids_whole(home: Path, columns: int) -> None:
    """No table cuts an id; answers are shown, not obeyed; Ctrl-C ends a watch of many alone and says the way back."""
    screen = Screen(home, columns)
    with closing(screen):
        program = f"{sys.executable} -m batch_router.cli"
        screen.type(f"clear; {program} list; {program} status {LONG}; echo 'listed'", "Enter")
        shown = screen.wait_for("\nlisted")
        assert all(len(line) <= columns for line in shown.split("\n"))
        assert shown.count(f"\n{LONG}") == 3  # of the list, the status, and its shard
        assert f"\n{LONG}.0" in shown
        assert {"gpt-5-mini", "anthropic", "abc", "run=7"} <= set(shown.split())
        screen.type(f"clear; {program} results abc --partial; echo code $?", "Enter")
        assert r'"text":"\u001b[2J\u001b[31mred"' in screen.wait_for("code 5").replace("\n", "")
        screen.type(f"clear; {program} watch {LONG} abc ab; echo code $?", "Enter")
        watched = screen.wait_for("ab  anthropic")
        assert all(f"\n{each}  " in f"\n{watched}" for each in (LONG, "abc", "ab"))
        assert watched.count(" elapsed") == 3
        screen.type("C-c")
        ended = screen.wait_for("code 130").replace("\n", "")
        assert f"the batches go on; to come back: batch-router watch {LONG} abc ab" in ended


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not on this machine")
def test_a_purge_asks_a_person(home: Path, context: Context) -> None:
    """On a terminal it shows what would be deleted, and what is answered is done."""
    screen = Screen(home, 80)
    with closing(screen):
        program = f"{sys.executable} -m batch_router.cli"
        screen.type(f"clear; {program} purge ab; echo code $?", "Enter")
        assert "ab     completed" in screen.wait_for("Do it? [y/N]:")
        screen.type("n", "Enter")
        assert "batch-router: nothing was done\n" in screen.wait_for("code 2")
        assert context.store.get_batch("ab") is not None
        screen.type(f"clear; {program} purge ab; echo code $?", "Enter")
        screen.wait_for("Do it? [y/N]:")
        screen.type("y", "Enter")
        screen.wait_for("code 0")
        assert context.store.get_batch("ab") is None


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not on this machine")
@pytest.mark.usefixtures("context")
def test_bash_completes_ids_and_commands() -> None:
    """With the line that docs/cli.md has for it."""
    (line,) = re.findall(r"^    (eval .*bash_source.*?)\s+#", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)
    script = """
        complete_words() {{
            COMPREPLY=(); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _batch_router_completion batch-router
        }}
        {line}
        complete_words batch-router status ab && echo "${{COMPREPLY[@]}}"
        complete_words batch-router pur && echo "${{COMPREPLY[@]}}"
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "--norc", "-c", script.format(line=line)]
    done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("ab abc\npurge\n", "")


def leaves(group: click.Group = cli, path: str = "") -> dict[str, click.Command]:
    """Every command by its whole name."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        found |= leaves(command, f"{name} ") if isinstance(command, click.Group) else {path + name: command}
    return found


@pytest.mark.usefixtures("context")
def test_every_command_prints_json() -> None:
    """But those that run until they are ended, and one whose exit code says all; each line on stdout is one value."""
    without = {name for name, each in leaves().items() if not any("--json" in option.opts for option in each.params)}
    assert without == {"demo", "health", "metrics", "simulate", "up"}
    for line in ("list", "status ab", "watch ab", "results abc --partial", "cancel ab", "purge ab --dry-run", "doctor"):
        printed = CliRunner().invoke(cli, [*line.split(), "--json"]).stdout.splitlines()
        assert [type(json.loads(each)) for each in printed] == [dict] * max(1, len(printed)), line


def test_a_reader_that_leaves_is_no_finding() -> None:
    """A table into a pipe that is closed ends as every other output does, and not with the code of `doctor`."""
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError), open(writer, "w") as stream:
        SafeConsole(file=stream).print("a table")
