"""The terminal of the command line: what providers, models and rows wrote does not steer it."""

import io
import json
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from honcho.printer import Message

from batch_router.cli.terminal import SafePrinter
from batch_router.connect import open_context
from batch_router.core import BatchStatus
from batch_router.core.jobs import Failure, Job
from batch_router.security.printable import printable_json
from batch_router.settings import Settings
from batch_router.state.parts import Part
from batch_router.state.table import State
from tests.items import new_batch, new_shard, put_shards
from tests.worker.fleet import environment_of

from .terminal import controls, run_on_terminal

# The clipboard, a cleared screen, colours by C0 and C1, reversed text, line ends of all kinds; rich's own markup.
HOSTILE = "\x1b]52;c;aGk\x07\x1b[2J\x9b35m\x1b[35;7m\x07\x08\x7f\x85\r\u202e\u2066\u2028 [bold][/nope]:smile:"
HARMLESS = "a harmless text, [bold][/nope]:smile:"
FOLDER = "generated/openai/b"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the end of a pty is told in Linux' way")


def prepare(home: Path, redis_url: str, text: str) -> dict[str, str]:
    """A store and a folder with a batch whose facts are `text`; the environment of its fleet."""
    home.mkdir()
    environment = environment_of(home, redis_url)
    failure = Failure(type="provider_error", message=text * 1000)
    job = Job(id=text, status=BatchStatus.IN_PROGRESS, created_at=0, error=failure)
    facts: dict[str, Any] = {"model": text, "job": job, "claimed_by": text, "error": failure, "left_behind": failure}
    part = Part(name=f"{FOLDER}/results", row_ids=f"{FOLDER}/ids", succeeded=1)
    with closing(open_context(Settings.from_env(environment))) as context:
        for name, line in (("ids", [0, text]), ("results", {"custom_id": text, "text": text, "response": text})):
            with context.storage.write(f"{FOLDER}/{name}") as stream:
                stream.write(msgspec.json.encode(line) + b"\n")
        batch = new_batch("b", metadata={text: text})
        put_shards(context.store, new_shard(state=State.CLEANING, part=part, **facts), batch=batch)
    (home / "good.jsonl").write_bytes(msgspec.json.encode({"custom_id": text, "prompt": text}) + b"\n")
    (home / "bad.jsonl").write_bytes(msgspec.json.encode({"custom_id": "a", "prompt": "b", text: text}) + b"\n")
    (home / f"{text[:16]}.jsonl").write_text("{")
    return environment


def commands(text: str) -> str:
    """Command lines that show all of it."""
    row_options = ["--provider", "openai", "--model", text]
    good = ["good.jsonl", "--provider", "openai", "--model", "m"]  # the name of a model must be printable
    lines = [
        *(["status", "b"], ["status", "b", "--json"], ["list"], ["list", "--json"], ["watch", "b", "--timeout", "0.3"]),
        *(["results", "b", "--partial"], ["doctor"], ["doctor", "--json"], ["cancel", "b"]),
        *(
            ["status", text],
            ["watch", text],
            ["retry", text],
            ["purge", text],
            ["resolve", text, "--recreate", "--yes"],
        ),
        *(["submit", name, *row_options] for name in ("bad.jsonl", f"{text[:16]}.jsonl", text)),
        *(["submit", *good], ["convert", *good]),
        *(["convert", "good.jsonl", "--provider", text], ["list", f"--{text}"], [text], ["list", "--limit", text]),
        *(["convert", "good.jsonl", "--endpoint", text], ["submit", "good.jsonl", "--metadata", text, *row_options]),
    ]
    return json.dumps(lines)


def run(home: Path, redis_url: str, text: str) -> tuple[str, list[int]]:
    return run_on_terminal(home, prepare(home, redis_url, text), commands(text))


def test_no_text_steers_the_terminal(tmp_path: Path, valkey: str) -> None:
    """Each command writes no other control sequence than with harmless texts, ends in the same way, and is bounded."""
    harmless, usual = run(tmp_path / "harmless", valkey, HARMLESS)
    hostile, ends = run(tmp_path / "hostile", valkey, HOSTILE)
    assert controls(hostile) <= controls(harmless)
    assert ends == usual
    assert 1 not in ends[:5] + ends[9:]
    assert "Traceback" not in hostile
    assert "[bold][/nope]:smile:" in hostile
    assert r"\x1b[2J" in hostile
    assert r"\u009b35m" in hostile
    assert max(len(line) for line in hostile.split("\n") if not line.startswith("{")) < 5000


def test_json_keeps_its_value() -> None:
    """What is shown of a line of JSON is JSON of the same value, also where there is space between its parts."""
    value = {"text": HOSTILE, HOSTILE: [HOSTILE, "ä€😀"]}
    line = msgspec.json.encode(value).decode().replace('":', '":\t \r')
    shown = printable_json(line)
    assert controls(shown) == set()
    assert json.loads(shown) == json.loads(line)


def test_a_program_gets_the_bytes(tmp_path: Path, valkey: str) -> None:
    """In a pipe, results and rows are as they are stored."""
    environment = prepare(tmp_path / "home", valkey, HOSTILE)
    command = [sys.executable, "-m", "batch_router.cli", "results", "b", "--partial"]
    done = subprocess.run(command, env=environment, cwd=tmp_path / "home", capture_output=True, check=False)
    assert done.stdout == (tmp_path / "home" / FOLDER / "results").read_bytes()


def test_the_processes_of_the_stack_do_not_steer_it() -> None:
    """`up` shows what workers and engines write, without what a terminal would act on."""
    shown = io.StringIO()
    printer = SafePrinter(shown)
    for data in (HOSTILE.encode() + b"\xff\n", HOSTILE, "SIGINT received\n"):
        printer.write(Message(type="line", data=data, time=datetime(2026, 1, 1), name="io", colour=None))
    assert controls(shown.getvalue()) == set()
    assert shown.getvalue().count("\n") == 3
