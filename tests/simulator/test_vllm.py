"""The stand-in for the `vllm` executable behaves as the real one was seen to behave."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

COMMAND = [sys.executable, "-m", "batch_router.simulator.vllm", "run-batch"]
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def row(row_id: str = "a", **changes: Any) -> dict[str, Any]:
    return {"custom_id": row_id, "method": "POST", "url": "/v1/chat/completions", "body": CHAT} | changes


class Run:
    """A run in a folder, in a process group of its own."""

    def __init__(self, folder: Path, given: bytes, scenario: str = "", *arguments: str) -> None:
        self.out = folder / "out.jsonl"
        (folder / "in.jsonl").write_bytes(given)
        (folder / "day.toml").write_text(scenario)
        files = ["-i", str(folder / "in.jsonl"), "-o", str(self.out), "--model", "m"]
        environment = os.environ | {"BATCH_ROUTER_VLLM_SCENARIO": str(folder / "day.toml")}
        self.process = subprocess.Popen(
            [*COMMAND, *files, *arguments], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def end(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said

    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_bytes().split(b"\n")[:-1]]

    def members(self) -> list[int]:
        """The living processes of its group."""
        return [
            process.pid
            for process in psutil.process_iter(["status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE and _group_of(process.pid) == self.process.pid
        ]

    def wait_for_answers(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while not self.out.exists() or self.out.read_bytes().count(b"\n") < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


def test_rows_are_answered_in_order_and_twice_if_asked_twice(tmp_path: Path) -> None:
    """Blank lines are skipped, and an answer has the fields of a recorded one."""
    run = Run(tmp_path, lines(row("b"), row("a")) + b"\n" + lines(row("a")))
    assert run.end()[0] == 0
    answers = run.answers()
    assert [answer["custom_id"] for answer in answers] == ["b", "a", "a"]
    assert run.members() == []


def test_an_answer_looks_like_a_recorded_one(tmp_path: Path, shared: Path) -> None:
    """It has every field of the recorded rows, except that `reasoning_content` is now called `reasoning`."""
    (recorded,) = (shared / "golden" / "vllm").glob("*results*.jsonl")
    theirs = json.loads(recorded.read_bytes().split(b"\n")[0])
    run = Run(tmp_path, lines(row()))
    assert run.end()[0] == 0
    (ours,) = run.answers()
    missing = fields(theirs) - fields(ours)
    assert missing == {"response.body.choices.message.reasoning_content"}


def fields(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {path.strip(".")} | set().union(*(fields(each, f"{path}.{name}") for name, each in value.items()))
    if isinstance(value, list):
        return {path.strip(".")} | set().union(*(fields(each, path) for each in value))
    return {path.strip(".")}


@pytest.mark.parametrize(
    "bad",
    [
        b"{nonsense\n",
        b"\xef\xbb\xbf" + lines(row()),
        lines({"custom_id": "a", "url": "/v1/chat/completions", "body": CHAT}),
        lines(row(custom_id=7)),
        lines(row(body="hi")),
        lines(row(body={"model": "m"})),
        lines([]),
    ],
)
def test_one_bad_row_stops_everything(tmp_path: Path, bad: bytes) -> None:
    """No answer is written, and the error names the line."""
    run = Run(tmp_path, lines(row()) + bad)
    code, said = run.end()
    assert (code, said.strip()) == (1, "ValueError: Invalid request on line 2")
    assert not run.out.exists()


def test_rows_are_refused_one_by_one_in_both_forms(tmp_path: Path) -> None:
    """The body is null, the error an object or a text, and the exit code 0."""
    stream, unknown = CHAT | {"stream": True}, CHAT | {"model": "other"}
    empty = CHAT | {"messages": []}
    given = lines(row(body=stream), row(body=unknown), row(body=empty), row(url="/v1/responses"), row())
    run = Run(tmp_path, given)
    assert run.end()[0] == 0
    answers = run.answers()
    assert [answer["response"]["status_code"] for answer in answers] == [400, 404, 400, 400, 200]
    assert [answer["response"]["body"] is None for answer in answers] == [True] * 4 + [False]
    assert [type(answer["error"]) for answer in answers] == [dict, str, dict, str, type(None)]


def test_a_break_down_leaves_a_prefix(tmp_path: Path) -> None:
    """The rows before the crash are answered completely, and the engine has ended."""
    run = Run(tmp_path, lines(*(row(str(number)) for number in range(5))), "crash_after = 2\n")
    code, said = run.end()
    assert code == 1
    assert "EngineDeadError" in said
    assert [answer["custom_id"] for answer in run.answers()] == ["0", "1"]
    assert run.members() == []


@pytest.mark.parametrize(("number", "left"), [(signal.SIGINT, 0), (signal.SIGTERM, 1), (signal.SIGKILL, 1)])
def test_only_an_interrupt_ends_the_engine_too(tmp_path: Path, number: signal.Signals, left: int) -> None:
    """After any other signal the engine lives on, as the real one's does."""
    rows = (row(str(number)) for number in range(100))
    run = Run(tmp_path, lines(*rows), "[latency]\nin_progress = 60\n")  # so that it is not done before the signal
    try:
        run.wait_for_answers(1)
        run.process.send_signal(number)
        run.process.wait(10)
        assert run.process.returncode != 0
        assert len(run.members()) == left
    finally:
        for pid in run.members():
            os.kill(pid, signal.SIGKILL)
        run.process.communicate()
