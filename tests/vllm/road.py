"""The whole road over the real vLLM: a worker on the queue `gpu`, and a client beside it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batch_router.client import BatchClient
from batch_router.embedded import running_url
from tests.e2e.stack import end_process


@contextmanager
def gpu_worker(home: Path) -> Iterator[BatchClient]:
    """A worker that listens, and no engine yet; `home` is what BATCH_ROUTER_HOME says."""
    with (home / "up.log").open("wb") as log:
        up = subprocess.Popen([sys.executable, "-m", "batch_router.cli", "up", "gpu"], stdout=log, stderr=log)
    client = None
    try:
        while client is None or not client.listeners("gpu"):
            if up.poll() is not None:
                raise SystemExit((home / "up.log").read_text())
            time.sleep(0.2)
            if client is None and running_url(home) is not None:
                client = BatchClient()
        yield client
    finally:
        if client is not None:
            client.close()
        end_process(up)
