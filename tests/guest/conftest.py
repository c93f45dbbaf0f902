"""Projects with a Celery app of their own beside a fleet of ours, with the built wheel.

One has Django and our broker, the other FastAPI and a broker of its own.
"""

import base64
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
from tests.documented import blocks_of
from tests.wheel import build_wheel, install_wheel
from tests.worker.fleet import Worker, celery, environment_of, worker

DJANGO, FASTAPI = (Path(__file__).parent / name for name in ("project", "web"))
SECRET = f"whsec_{base64.b64encode(bytes(32)).decode()}"
#: gunicorn, without a socket for commands, which all of a user's would share.
SITE = [sys.executable, "-m", "gunicorn", "--no-control-socket", "--bind", "127.0.0.1:0"]
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

    def __init__(self, environment: dict[str, str], folder: Path, running: Worker, simulator: Simulator) -> None:
        self.environment = environment
        self.simulator = simulator
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
            "BATCH_ROUTER_CALLBACK_BROKERS": json.dumps({"web": valkey.replace("/0", "/9")}),
            "BATCH_ROUTER_WEBHOOK_SECRET": SECRET,
            "BATCH_ROUTER_WEBHOOK_PRIVATE": "true",
            "PYTHONPATH": os.pathsep.join((str(folder), environment["PYTHONPATH"])),
        }
        with worker(environment, "-n", "ours@%h", cwd=folder) as running:
            started = Fleet(environment, folder, running, simulator)
            yield started
            started.client.close()


# What a project has of the fleet's settings: the keys of the providers are not among them.
_SHARED = (
    "BATCH_ROUTER_HOME BATCH_ROUTER_REDIS_URL BATCH_ROUTER_PREFIX PYTHONPATH BATCH_ROUTER_CALLBACK_BROKERS"  # noqa: SIM905
    " BATCH_ROUTER_WEBHOOK_SECRET BATCH_ROUTER_WEBHOOK_PRIVATE".split()
)


class Project:
    """The other app: its worker, and its site behind gunicorn.

    Args:
        folder: where its programs run.
        fleet: ours.
        url: of its broker.
        notes: the list there in which it notes what ran.
        variables: its own.

    Attributes:
        worker: its Celery worker.
    """

    worker: "subprocess.Popen[bytes]"

    def __init__(self, folder: Path, fleet: Fleet, url: str, notes: str, **variables: str) -> None:
        self.folder = folder
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        self._notes = notes
        self.redis.delete(notes)
        self.environment = {name: value for name, value in environment_of(folder, "").items() if name not in _SHARED}
        self.environment |= {name: fleet.environment[name] for name in _SHARED} | variables | {"PYTHONUNBUFFERED": "1"}

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

    @property
    def site(self) -> str:
        """The URL of its site."""
        (url,) = re.findall(r"Listening at: (\S+)", self.log("site").read_text())
        return str(url)

    def ask(self, page: str, method: str = "GET", **query: object) -> Any:
        """A page of its site."""
        request = urllib.request.Request(f"{self.site}/{page}?{urlencode(query)}", method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def ran(self, what: str) -> list[str]:
        """What the project notes of something: of a task for example the node, its app, the current app."""
        notes: list[Any] = list(self.redis.lrange(self._notes, 0, -1))
        return [note.removeprefix(f"{what} ") for note in notes if note.startswith(f"{what} ")]


@pytest.fixture(scope="module", params=["ours", "theirs"])
def project(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fleet: Fleet
) -> Iterator[Project]:
    """The project, started, with a task that is due later than our fleet has patience for."""
    folder = tmp_path_factory.mktemp("shop") / "project"
    shutil.copytree(DJANGO, folder)
    (folder / "shop" / "signed.py").write_text(_block("def is_signed"))
    # The same database as our broker's, by another name of the machine.
    url = broker_server(fleet.settings).url.replace("127.0.0.1", "localhost")
    broker = {"SHOP_REDIS_URL": url, "CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": url}
    order = {"SHOP_IMPORTS_FIRST": request.param, "DJANGO_SETTINGS_MODULE": "proj.settings"}
    project = Project(folder, fleet, url, "shop:ran", **broker, **order)
    # Celery's current app is a thread's: ours could replace it in the main thread, and be the default one in others.
    threads = "4" if request.param == "ours" else "1"
    site = [*SITE, "--preload", "--workers", "2", "--threads", threads, "proj.wsgi"]
    with ExitStack() as stack:
        stack.callback(project.redis.close)
        command = celery("-A", "proj", "worker", "-n", "theirs@%h", "-P", "threads", "-c", "4", "-l", "INFO")
        project.worker = stack.enter_context(project.running("worker", *command, ready=r"theirs@\S+ ready"))
        stack.enter_context(project.running("site", *site, ready=r"Booting worker"))
        project.ask("buy", what="later", countdown=LATER)
        yield project


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, fleet: Fleet) -> Iterator[Project]:
    """The project with FastAPI, started."""
    folder = tmp_path_factory.mktemp("web") / "web"
    shutil.copytree(FASTAPI, folder)
    (folder / "hooks.py").write_text(_block('@app.post("/hooks"'))
    url = fleet.settings.callback_brokers["web"]
    project = Project(folder, fleet, url, "web:ran", WEB_REDIS_URL=url)
    site = [*SITE, "--worker-class", "asgi", "main:app"]
    command = celery("-A", "main:shop", "worker", "-n", "web@%h", "-P", "threads", "-c", "4", "-l", "INFO")
    with ExitStack() as stack:
        stack.callback(project.redis.close)
        project.worker = stack.enter_context(project.running("worker", *command, ready=r"web@\S+ ready"))
        stack.enter_context(project.running("site", *site, ready=r"Booting worker"))
        yield project


def _block(start: str) -> str:
    """The code block of the page about webhooks that has this line."""
    (found,) = (block.text for block in blocks_of("docs/webhooks.md") if start in block.text)
    return found
