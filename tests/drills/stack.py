"""What a drill needs: Valkey, simulated providers, workers; a stack has a home of its own and serves many drills."""

import base64
import itertools
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from batch_router.client import BatchClient
from batch_router.connect import broker_server, open_context, queue_key
from batch_router.core.jobs import Job
from batch_router.providers import find_provider
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Latency
from batch_router.state.base import Hint

from ..e2e.stack import clean_environment, processes_of
from ..receiver import NEW, Receiver
from .fleet import FLEETS, Fleet
from .nursery import Nursery
from .servers import SERVERS, LoggedServer, Server
from .trace import FOLDER, Event, Plan

ROOT = Path(__file__).parents[2]
#: Not to be found outside the payloads: the key nowhere at all.
KEY, PROMPT = "sk-canary-key-4711", "canary-prompt-0815"
#: Jobs take a second, so that a poll finds one that is not done.
DAY = Scenario(latency=Latency(in_progress=1))
#: The shortest in which an SDK call still ends by itself; with it, a lost create is created again after 55 s.
HTTP_TIMEOUT = 5
#: Seconds after which the simulated services list a job that they made, whatever happens there.
VISIBILITY = 5
_ROWS_PER_SHARD = 3
#: A model for vLLM whose queue no worker of a fleet has.
UNSERVED, UNATTENDED = "model-2", "gpu.spare"
# What a scenario's time is multiplied with, by engine: the stand-in's server takes it as that of a hundred rows.
_PER_SHARD = {"serve": 100 / _ROWS_PER_SHARD, "run-batch": 1}
# Which of vLLM's engines the workers use, by fleet.
_ENGINES = {"threads": "serve", "prefork": "run-batch"}
_MEMORY = Path("/dev/shm")
_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
_PATHS = {"openai": "/openai/v1", "anthropic": "/anthropic", "google": "/google"}


class Stack:
    """See the module; `open_stack` makes one."""

    def __init__(
        self, home: Path, server: Server, simulator: Simulator, nursery: Nursery, engine: str, receiver: Receiver
    ) -> None:
        url = server.url
        self.home = home
        self.server = server
        self.engine = engine
        self.simulator = simulator
        self.nursery = nursery
        self.receiver = receiver
        self.folder = home / "drill"
        self.settings = Settings(home=home, redis_url=url, max_shard_rows=_ROWS_PER_SHARD)
        self.context = open_context(self.settings)
        self.client = BatchClient(self.context)
        self.store = self.context.store
        self.broker = redis.Redis.from_url(broker_server(self.settings).url)
        self._sender = Celery("drill", broker=broker_server(self.settings).url, set_as_current=False)
        self._numbers = itertools.count(1)
        #: Rows on the providers' bill more than once that a drill has told of, by what they ask.
        self.told: Counter[str] = Counter()
        self.fleet: Fleet
        self.seen = Listener(url)

    def turn(self, scenario: Scenario) -> None:
        """From here on a day like this, on the GPU as well."""
        self.simulator.change(scenario)
        seconds = scenario.latency.in_progress * _PER_SHARD[self.engine]
        poison = f"poison = '{scenario.poison}'\n" if scenario.poison else ""
        write_whole(self.folder / "gpu.toml", f"{poison}[latency]\nin_progress = {seconds}\n".encode())

    def new_id(self, provider: str) -> str:
        """A batch id; its start says whose the batch is."""
        return f"{provider}-{next(self._numbers)}"

    def send(self, hint: Hint) -> None:
        """A message, as `publish` would send it; it is lost where the server is just dying."""
        queue = queue_key(self.settings, str(find_provider(hint.provider).queue or hint.state.queue))
        with suppress(OperationalError, AttributeError):  # the latter is kombu's, of a channel without a connection
            self._sender.send_task(f"batch_router.{hint.state.step}", args=([hint.id, hint.version],), queue=queue)

    @contextmanager
    def planned(self, *plans: Plan) -> Iterator[None]:
        """Strike there, as long as the block runs."""
        path = self.folder / "plan.json"
        write_whole(path, msgspec.json.encode(plans))
        try:
            yield
        finally:
            path.unlink()

    def fired(self, plan: Plan) -> Event | None:
        """Where and when a plan struck."""
        with suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode((self.folder / f"{plan.id}.fired").read_bytes(), type=Event)
        return None

    def let_go(self, plan: Plan) -> None:
        """Let the process go on that waits at a strike."""
        (self.folder / f"{plan.id}.go").touch()

    def end_job(self, job: Job) -> None:
        """Cancel a job at OpenAI and delete its rows, as an operator does in the provider's own console."""
        for method, path in (("POST", f"batches/{job.id}/cancel"), ("DELETE", f"files/{job.upload}")):
            url, headers = f"{self.simulator.url}/openai/v1/{path}", {"authorization": f"Bearer {KEY}"}
            urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers)).close()

    @contextmanager
    def broken(self, seams: str) -> Iterator[None]:
        """Calls at these seams (a regular expression over `<place>/store` and `<place>/storage`) fail in the block."""
        write_whole(self.folder / "broken", seams.encode())
        try:
            yield
        finally:
            (self.folder / "broken").unlink()

    def events(self) -> list[Event]:
        """The trace; a line that is being written is left out."""
        lines = (self.folder / "trace.jsonl").read_bytes().split(b"\n")[:-1]
        return [msgspec.json.decode(line, type=Event) for line in lines]

    def words(self) -> bytes:
        """All that may not hold a canary: logs, both databases, task events; bodies of messages decoded."""
        words = b"".join(path.read_bytes() for path in self.home.rglob("*.log"))
        words += (self.simulator.folder / "requests.jsonl").read_bytes() + b"".join(self.seen.messages)
        for url in (str(self.settings.redis_url), broker_server(self.settings).url):
            with redis.Redis.from_url(url) as client:
                words += b"".join(key + content_of(client, key) for key in client.scan_iter())
        bodies = re.findall(rb'"body": ?"([A-Za-z0-9+/=]+)"', words)
        return words + b"".join(base64.b64decode(body) for body in bodies)

    def close(self) -> None:
        """Close the connections."""
        self.seen.close()
        self.client.close()
        self.broker.close()
        self._sender.close()


class Listener:
    """Takes in whatever is published on a server: Celery's events among it."""

    def __init__(self, url: str) -> None:
        self.messages: list[bytes] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(url,), name="listener")
        self._thread.start()

    def _run(self, url: str) -> None:
        while not self._ended.is_set():
            with suppress(redis.RedisError), redis.Redis.from_url(url) as client, client.pubsub() as channel:
                channel.psubscribe("*")
                while not self._ended.is_set():
                    message = channel.get_message(timeout=0.2)
                    if message and isinstance(message["data"], bytes):
                        self.messages.append(message["data"])
            self._ended.wait(0.2)  # Redis is away: that may be the drill

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


def content_of(client: "redis.Redis", key: bytes) -> bytes:
    """What a key holds, uncompressed as `DUMP` would not be."""
    match client.type(key):
        case b"hash":
            value: Any = client.hgetall(key)
        case b"list":
            value = client.lrange(key, 0, -1)
        case b"set":
            value = client.smembers(key)
        case b"zset":
            value = client.zrange(key, 0, -1)
        case _:
            value = client.get(key)
    parts = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
    return b"\n".join(parts) if not isinstance(parts, (bytes, type(None))) else parts or b""


@contextmanager
def open_stack(fleet: str, app: str = "tests.drills.worker", **settings: str) -> Iterator[Stack]:
    """Start everything; when the block ends, nothing is left."""
    home = Path(tempfile.mkdtemp(prefix="drill-", dir=_MEMORY if _MEMORY.is_dir() else None))
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, home)
        server = undo.enter_context(SERVERS.get(fleet, LoggedServer)(home))
        simulator = undo.enter_context(Simulator(DAY, home / "simulator"))
        undo.callback(_expect_nobody, home)
        engine = _ENGINES.get(fleet, "serve")
        nursery = Nursery(_environment(home, server.url, simulator, {"BATCH_ROUTER_VLLM_ENGINE": engine, **settings}))
        undo.callback(nursery.close)
        receiver = undo.enter_context(closing(Receiver()))
        stack = Stack(home, server, simulator, nursery, engine, receiver)
        undo.callback(stack.close)
        stack.folder.mkdir()
        (stack.folder / "trace.jsonl").touch()
        (simulator.folder / "requests.jsonl").touch()
        stack.turn(DAY)
        stack.fleet = Fleet(nursery, app, FLEETS[fleet], home / "workers.log")
        undo.callback(stack.fleet.stop)
        yield stack


def _environment(home: Path, url: str, simulator: Simulator, settings: dict[str, str]) -> dict[str, str]:
    more = {
        "BATCH_ROUTER_REDIS_URL": url,
        "BATCH_ROUTER_MAX_SHARD_ROWS": str(_ROWS_PER_SHARD),
        "BATCH_ROUTER_HTTP_TIMEOUT": str(HTTP_TIMEOUT),
        "BATCH_ROUTER_VISIBILITY": str(VISIBILITY),
        "BATCH_ROUTER_VLLM_COMMAND": f"{sys.executable} -m batch_router.simulator.vllm",
        "BATCH_ROUTER_VLLM_SCENARIO": str(home / "drill" / "gpu.toml"),
        "BATCH_ROUTER_GPU_QUEUES": f'{{"{UNSERVED}": "{UNATTENDED}", "*": "gpu"}}',
        "BATCH_ROUTER_WEBHOOK_SECRET": NEW,
        "BATCH_ROUTER_WEBHOOK_PRIVATE": "true",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        FOLDER: str(home / "drill"),
        **dict.fromkeys(_KEYS, KEY),
        **{f"BATCH_ROUTER_{name.upper()}_BASE_URL": simulator.url + path for name, path in _PATHS.items()},
        **settings,
    }
    return clean_environment(home, **more)


def _expect_nobody(home: Path) -> None:
    """Raises if a process of this home is still there, and ends it; one that is just ending has a moment."""
    deadline = time.monotonic() + 10
    while left := processes_of(home):
        if time.monotonic() > deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"processes were left: {left}")
        time.sleep(0.1)


def write_whole(path: Path, content: bytes) -> None:
    """Readers find the old content or the new one."""
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    new.replace(path)


def requests_of(stack: Stack) -> list[dict[str, Any]]:
    """The log of the simulated providers."""
    lines = (stack.simulator.folder / "requests.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]
