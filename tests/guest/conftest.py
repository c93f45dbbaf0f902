"""A Django project with a Celery app of its own beside a fleet of ours, on one broker, with the built wheel."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import redis

from batch_router.client import BatchClient
from batch_router.connect import broker_server, open_context
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from tests.wheel import build_wheel, install_wheel
from tests.worker.fleet import Worker, celery, environment_of, worker

PROJECT = Path(__file__).parent / "project"
#: Messages that our fleet has had for two seconds without an acknowledgement are sent again.
IMPATIENT = {"visibility_timeout": 2, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
#: Seconds, several times that: when the project's task for later is due.
LATER = 10


def eventually(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


class Fleet:
    """Ours."""

    def __init__(self, environment: dict[str, str], folder: Path, running: Worker) -> None:
        self.environment = environment
        self.folder = folder
        self.worker = running
        self.settings = Settings.from_env(environment)
        self.client = BatchClient(open_context(self.settings))

    def answers(self, batch_id: str) -> int:
        """How many rows of a batch are answered in the end."""
        return self.client.wait(batch_id, timeout=60).request_counts.succeeded


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[Fleet]:
    """One worker for all our queues that gives messages back after two seconds, and simulated providers."""
    folder = tmp_path_factory.mktemp("guest")
    wheel = install_wheel(build_wheel(folder), folder / "site")
    (folder / "impatient.py").write_text(f"broker_transport_options = {IMPATIENT}\n")
    with Simulator(Scenario()) as simulator:
        environment = environment_of(folder / "batch_router", valkey.replace("/0", "/10")) | wheel
        environment |= {
            "BATCH_ROUTER_OPENAI_BASE_URL": f"{simulator.url}/openai/v1",
            "OPENAI_API_KEY": "sk-test",
            "BATCH_ROUTER_CELERY_CONFIG": "impatient",
            "PYTHONPATH": os.pathsep.join((str(folder), environment["PYTHONPATH"])),
        }
        with worker(environment, "-n", "ours@%h", cwd=folder) as running:
            started = Fleet(environment, folder, running)
            yield started
            started.client.close()


class Project:
    """The other app: its worker, and its site behind gunicorn.

    Attributes:
        order: who is imported first, "ours" or "theirs".
        folder: where its programs run.
        worker: its Celery worker.
    """

    worker: "subprocess.Popen[bytes]"

    def __init__(self, order: str, folder: Path, fleet: Fleet) -> None:
        self.order = order
        self.folder = folder
        # The same database as our broker's, by another name of the machine.
        url = broker_server(fleet.settings).url.replace("127.0.0.1", "localhost")
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        named = ("BATCH_ROUTER_HOME", "BATCH_ROUTER_REDIS_URL", "BATCH_ROUTER_PREFIX", "PYTHONPATH")
        self.environment = {name: value for name, value in environment_of(folder, "").items() if name not in named}
        self.environment |= {name: fleet.environment[name] for name in named} | {
            "SHOP_IMPORTS_FIRST": order,
            "SHOP_REDIS_URL": url,
            "CELERY_BROKER_URL": url,
            "CELERY_RESULT_BACKEND": url,
            "DJANGO_SETTINGS_MODULE": "proj.settings",
        }

    @contextmanager
    def running(self, name: str, *command: str, ready: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A program of the project, once its log says that it is ready."""
        log = self.log(name)
        with log.open("wb") as stream:
            process = subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=stream, stderr=stream)
        try:
            eventually(lambda: process.poll() is not None or re.search(ready, log.read_text()))
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            process.terminate()
            process.wait(30)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def run(self, *arguments: str) -> str:
        """What a program of the project prints."""
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ask(self, page: str, **query: object) -> Any:
        """A page of its site."""
        (url,) = re.findall(r"Listening at: (\S+)", self.log("site").read_text())
        with urllib.request.urlopen(f"{url}/{page}?{urlencode(query)}", timeout=60) as answer:
            return json.loads(answer.read())

    def ran(self, what: str) -> list[str]:
        """Where a task of the project ran: the node, its app, the current app."""
        notes: list[Any] = list(self.redis.lrange("shop:ran", 0, -1))
        return [note.removeprefix(f"{what} ") for note in notes if note.startswith(f"{what} ")]


@pytest.fixture(scope="module", params=["ours", "theirs"])
def project(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fleet: Fleet
) -> Iterator[Project]:
    """The project, started, with a task that is due later than our fleet has patience for."""
    folder = tmp_path_factory.mktemp("shop") / "project"
    shutil.copytree(PROJECT, folder)
    project = Project(request.param, folder, fleet)
    project.redis.delete("shop:ran")
    # Celery's current app is a thread's: ours could replace it in the main thread, and be the default one in others.
    threads = "4" if request.param == "ours" else "1"
    site = ["--preload", "--workers", "2", "--threads", threads, "--bind", "127.0.0.1:0", "proj.wsgi"]
    with ExitStack() as stack:
        stack.callback(project.redis.close)
        command = celery("-A", "proj", "worker", "-n", "theirs@%h", "-P", "threads", "-c", "4", "-l", "INFO")
        project.worker = stack.enter_context(project.running("worker", *command, ready=r"theirs@\S+ ready"))
        command = [sys.executable, "-m", "gunicorn", *site]
        stack.enter_context(project.running("site", *command, ready=r"Booting worker"))
        project.ask("buy", what="later", countdown=LATER)
        yield project
