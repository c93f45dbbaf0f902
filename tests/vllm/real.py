"""Jobs over the real vLLM."""

import io
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil

from batch_router.core.jobs import Job, JobSpec
from batch_router.providers import VLLMProvider
from batch_router.providers.vllm.client import VLLMClient
from batch_router.settings import Settings
from tests.file_rows import FileRows

FOLDER_VARIABLE = "TEST_VLLM_VENV"
_NAME = "generated/vllm/b/s/rows.jsonl"
LABEL = "0123456789abcdef"
# Without `enforce-eager` a C++ compiler works for a minute first.
OPTIONS = {"enforce-eager": True, "max-model-len": 512}


def environment() -> dict[str, str]:
    """The variables with which the real vLLM runs on CPU, without any network access."""
    folder = Path(os.environ[FOLDER_VARIABLE]) / "bin"
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "BATCH_ROUTER_VLLM_COMMAND": str(folder / "vllm"),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }


class Real:
    """Jobs over one file of rows, in the home that BATCH_ROUTER_HOME names."""

    def __init__(self, home: Path, model: Path, engine: str) -> None:
        self.home = home
        self.rows = home / _NAME
        self.rows.parent.mkdir(parents=True, exist_ok=True)
        self.name = _NAME
        self.model = model
        self.engine = engine
        self._groups: set[int] = set()
        self.client = self.connect()

    def connect(self) -> VLLMClient:
        client = VLLMProvider(str(self.model), vllm_args=OPTIONS, engine=self.engine).connect(Settings.from_env())  # type: ignore[arg-type]
        assert isinstance(client, VLLMClient)
        return client

    def spec(self) -> JobSpec:
        return JobSpec(label=LABEL, model="tiny", rows=1, upload=self.name)

    def file_rows(self) -> FileRows:
        return FileRows(self.rows, self.name)

    def write(self, count: int, tokens: int = 32, **bodies: dict[str, Any]) -> None:
        """`count` good rows; of those that are named `row_<number>`, the body is as given."""
        lines = []
        for number in range(count):
            body = {
                "model": "tiny",
                "messages": [{"role": "user", "content": f"Count to {number}"}],
                "max_completion_tokens": tokens,
                "ignore_eos": True,
            }
            row = {"custom_id": f"{LABEL}-{number}", "method": "POST", "url": "/v1/chat/completions"}
            lines.append(msgspec.json.encode(row | {"body": body | bodies.get(f"row_{number}", {})}) + b"\n")
        self.rows.write_bytes(b"".join(lines))

    def answers(self, job: Job) -> dict[int, dict[str, Any]]:
        into = io.BytesIO()
        self.client.download(job, into)
        rows = [json.loads(line) for line in into.getvalue().splitlines()]
        by_number = {int(row["custom_id"].rpartition("-")[2]): row for row in rows}
        assert len(by_number) == len(rows), "a row was answered twice"
        return by_number

    def worker(self) -> "subprocess.Popen[bytes]":
        """A process that does the job, to be killed."""
        program = (
            "import sys; from pathlib import Path; from tests.vllm.real import Real;"
            "real = Real(*map(Path, sys.argv[1:3]), sys.argv[3]); real.client.create(real.file_rows(), real.spec())"
        )
        return subprocess.Popen([sys.executable, "-c", program, self.home, self.model, self.engine])

    def processes(self) -> list[int]:
        """Of the engines of this home: all that is in a group of theirs, for they rename themselves."""
        alive = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                group = os.getpgid(process.pid)
                if "guard.py" in " ".join(process.cmdline()) and Path(process.cwd()).is_relative_to(self.home):
                    self._groups.add(group)
                if process.status() != psutil.STATUS_ZOMBIE:
                    alive.append((process.pid, group))
        return [pid for pid, group in alive if group in self._groups]

    def wait_until(self, condition: Any, seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def answered(self) -> int:
        parts = self.rows.parent.glob(f"{self.rows.name}.part-*")
        return sum(part.read_bytes().count(b"\n") for part in parts)

    def end_leftovers(self) -> None:
        VLLMProvider.end_leftovers(self.home)
