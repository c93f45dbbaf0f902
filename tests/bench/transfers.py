"""Memory of one provider's `upload`, `create` and `download` at 200 MB: `python -m tests.bench.transfers NAME HOME`.

The simulated provider is a process of its own; what is printed is by how many bytes this one's peak grew over idle.
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
from batch_router.settings import Settings
from tests.file_rows import FileRows

from ..memory import peak_memory

_ROWS = 19_000
_PROMPT = "x" * 10_000
_TOKEN = "0123456789abcdef"
_PATHS = {"openai": "/openai/v1", "anthropic": "/anthropic", "google": "/google", "vllm": ""}


def growth(name: str, home: Path) -> int:
    command = [sys.executable, "-m", "batch_router.simulator", "--directory", str(home / "simulator")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            assert simulator.stdout is not None
            return _transfer(name, home / "rows.jsonl", simulator.stdout.readline().strip() + _PATHS[name])
        finally:
            simulator.terminate()


def _transfer(name: str, rows: Path, url: str) -> int:
    provider = find_provider(name)
    message = {"role": "user", "content": _PROMPT}
    plain = {"custom_id": "a", "model": "m", "messages": [message], "generation_config": {"max_tokens": 9}}
    with rows.open("wb") as stream:
        for number in range(_ROWS):
            row = provider.codec.encode(msgspec.convert(plain, UnifiedRequest), f"{_TOKEN}-{number}")
            stream.write(msgspec.json.encode(row) + b"\n")
    given = {} if name == "vllm" else {"api_key": "k"}
    client = provider(base_url=url, **given).connect(Settings(http_timeout=300))
    list(client.list(1))
    idle = peak_memory()
    spec = JobSpec(token=_TOKEN, model="m", rows=_ROWS, upload=None, since=time.time())
    spec = msgspec.structs.replace(spec, upload=client.upload(FileRows(rows), spec))
    job = client.create(FileRows(rows), spec)
    while not job.status.is_final:
        time.sleep(0.2)
        job = client.get(job.id)
    with rows.with_suffix(".answers").open("wb") as answers:
        client.download(job, answers)
        assert answers.tell() > 0.9 * rows.stat().st_size
    return peak_memory() - idle


if __name__ == "__main__":
    os.environ["BATCH_ROUTER_VLLM_COMMAND"] = f"{sys.executable} -m batch_router.simulator.vllm"
    print(growth(sys.argv[1], Path(sys.argv[2])))
