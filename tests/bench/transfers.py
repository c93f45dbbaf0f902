"""Memory of a provider's `upload`, `create` and `download`: `python -m tests.bench.transfers NAME HOME ROWS`.

Rows have 10 kB. The simulated provider is a process of its own; this one prints by how many bytes its own peak grew
over idle. vLLM's engine is the stand-in.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from batch_router.core import UnifiedRequest
from batch_router.core.jobs import JobSpec
from batch_router.providers import find_provider
from batch_router.providers.base import Client
from batch_router.settings import Settings
from tests.file_rows import FileRows

from ..memory import peak_memory

_PROMPT = "x" * 10_000
_LABEL = "0123456789abcdef"
_ROWS = "generated/{}/b/shard/rows.jsonl"
_PATHS = {"openai": "/openai/v1", "anthropic": "/anthropic", "google": "/google"}


def growth(name: str, home: Path, count: int) -> int:
    command = [sys.executable, "-m", "batch_router.simulator", "--directory", str(home / "simulator")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            assert simulator.stdout is not None
            client = _connect(name, simulator.stdout.readline().strip())
            rows = _write_rows(name, home / _ROWS.format(name), count)
            return _transfer(client, FileRows(rows, _ROWS.format(name)), rows, count)
        finally:
            simulator.terminate()


def _connect(name: str, url: str) -> Client:
    given = {"base_url": url + _PATHS[name], "api_key": "k"} if name in _PATHS else {}
    return find_provider(name)(**given).connect(msgspec.structs.replace(Settings.from_env(), http_timeout=300))


def _write_rows(name: str, rows: Path, count: int) -> Path:
    encode = find_provider(name).codec.encode
    message = {"role": "user", "content": _PROMPT}
    plain = {"custom_id": "a", "model": "m", "messages": [message], "generation_config": {"max_tokens": 9}}
    rows.parent.mkdir(parents=True)
    with rows.open("wb") as stream:
        for number in range(count):
            row = encode(msgspec.convert(plain, UnifiedRequest), f"{_LABEL}-{number}")
            stream.write(msgspec.json.encode(row) + b"\n")
    return rows


def _transfer(client: Client, stored: FileRows, rows: Path, count: int) -> int:
    list(client.list(1))
    idle = peak_memory()
    spec = JobSpec(label=_LABEL, model="m", rows=count, upload=None)
    spec = msgspec.structs.replace(spec, upload=client.upload(stored, spec))
    job = client.create(stored, spec)
    while not job.status.is_final:
        time.sleep(0.2)
        job = client.get(job.id)
    with rows.with_suffix(".answers").open("wb") as answers:
        client.download(job, answers)
        assert answers.tell() > 0.9 * rows.stat().st_size
    used = peak_memory() - idle
    client.close()
    return used


if __name__ == "__main__":
    provider, folder = sys.argv[1], Path(sys.argv[2])
    os.environ["BATCH_ROUTER_HOME"] = str(folder)
    os.environ["BATCH_ROUTER_VLLM_COMMAND"] = f"{sys.executable} -m batch_router.simulator.vllm"
    print(growth(provider, folder, int(sys.argv[3])))
