"""Workers of a fleet of its own on the tests' server, as an operator starts them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batch_router.connect import open_store
from batch_router.settings import Settings


def environment_of(home: Path, redis_url: str, **variables: str) -> dict[str, str]:
    """This environment with settings for one fleet and no others; its prefix is the name of its folder."""
    foreign = ("BATCH_ROUTER_", "CELERY_", "OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "DJANGO_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    ours = {"BATCH_ROUTER_HOME": str(home), "BATCH_ROUTER_REDIS_URL": redis_url, "BATCH_ROUTER_PREFIX": home.name}
    return kept | ours | variables


def celery(*arguments: str) -> list[str]:
    """The command line of Celery's own program."""
    return [sys.executable, "-m", "celery", *arguments]


class Worker:
    """A worker that listens.

    Attributes:
        log: all that it printed.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log


@contextmanager
def worker(
    environment: dict[str, str],
    *options: str,
    app: str = "batch_router.worker",
    cwd: Path | None = None,
    log: str = "worker.log",
) -> Iterator[Worker]:
    """A worker, from the moment that it listens until the block ends, however it ends."""
    home = Path(environment["BATCH_ROUTER_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    path = home / log
    command = celery("-A", app, "worker", "-l", "INFO", "-P", "threads", "-c", "4", *options)
    with path.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, cwd=cwd or home, stdout=stream, stderr=stream)
    try:
        _wait(environment, process, path)
        yield Worker(process, path)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(environment: dict[str, str], process: "subprocess.Popen[bytes]", log: Path) -> None:
    store = open_store(Settings.from_env(environment))
    deadline = time.monotonic() + 60
    while not any(store.listeners(queue) for queue in ("io", "cpu", "gpu", "gpu.small")):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    store.close()
