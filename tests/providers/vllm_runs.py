"""Jobs of vLLM over real processes of the stand-in for its executable."""

import io
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from batch_router.core import UnifiedMessage, UnifiedRequest, UnifiedResult
from batch_router.core.jobs import Job, JobSpec
from batch_router.providers import VLLMProvider
from batch_router.providers.vllm import codec
from batch_router.providers.vllm.client import VLLMClient
from batch_router.settings import Settings
from tests.file_rows import FileRows

LABEL = "0123456789abcdef"
STAND_IN = f"{sys.executable} -m batch_router.simulator.vllm"


def request(prompt: str = "hi", **fields: Any) -> UnifiedRequest:
    message = UnifiedMessage(role="user", content=prompt)
    return UnifiedRequest(**({"custom_id": "q", "model": "m", "messages": [message]} | fields))


def wire(row: UnifiedRequest, row_id: str = f"{LABEL}-0") -> bytes:
    return msgspec.json.encode(codec.encode(row, row_id)) + b"\n"


def answer_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*-*.jsonl") if ".run-out." in path.name or ".part-" in path.name]


def engines_of(home: Path) -> list[int]:
    """Processes of the stand-in, and their guards, that work in this home."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or ()
        if {"run-batch", "serve", "EngineCore"}.intersection(words):
            with suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(home):
                    found.append(process.pid)
    return found


class Runs:
    """Jobs over a folder of rows; `scenario` is the stand-in's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = folder / "home"
        self.folder = self.home / "generated" / "vllm" / "b" / "s"
        self.folder.mkdir(parents=True)
        self.name = "generated/vllm/b/s/rows.jsonl"
        self.rows = self.home / self.name
        self.clients: list[VLLMClient] = []
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", STAND_IN)
        monkeypatch.setenv("BATCH_ROUTER_HOME", str(self.home))

    def write(self, count: int) -> None:
        self.rows.write_bytes(b"".join(wire(request(f"say {n}"), f"{LABEL}-{n}") for n in range(count)))

    def scenario(self, text: str) -> None:
        (self.home / "day.toml").write_text(text)
        self._monkeypatch.setenv("BATCH_ROUTER_VLLM_SCENARIO", str(self.home / "day.toml"))

    def client(self, **arguments: Any) -> VLLMClient:
        client = VLLMProvider(**({"engine": "run-batch"} | arguments)).connect(Settings.from_env())
        assert isinstance(client, VLLMClient)
        self.clients.append(client)
        return client

    def spec(self, model: str = "m") -> JobSpec:
        return JobSpec(label=LABEL, model=model, rows=3, upload=self.name)

    def create(self, **arguments: Any) -> Job:
        return self.client(**arguments).create(self.file_rows(), self.spec())

    def file_rows(self) -> FileRows:
        return FileRows(self.rows, self.name)

    def engines(self) -> list[int]:
        """Processes of the stand-in that work for this home."""
        return engines_of(self.home)

    def guard(self) -> int:
        (pid,) = (pid for pid in self.engines() if any("guard.py" in word for word in psutil.Process(pid).cmdline()))
        return pid

    def wait_for_the_end(self) -> None:
        deadline = time.monotonic() + 30
        while self.engines():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def wait_for_answers(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while sum(path.read_bytes().count(b"\n") for path in answer_files(self.folder)) < count:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    made = Runs(tmp_path, monkeypatch)
    yield made
    for client in made.clients:
        client.close()
    for pid in made.engines():
        os.kill(pid, signal.SIGKILL)


def read(client: VLLMClient, job: Job) -> list[Any]:
    into = io.BytesIO()
    client.download(job, into)
    return [json.loads(line) for line in into.getvalue().split(b"\n") if line]


def decode(row: dict[str, Any]) -> UnifiedResult:
    """The result of an answer, under the id of its row."""
    return codec.decode(json.dumps(row).encode(), row["custom_id"])[0]
