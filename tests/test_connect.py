"""From settings to servers: where the state and the messages are."""

import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

import batch_router
from batch_router.connect import broker_server, open_store, state_server
from batch_router.exceptions import ValidationError
from batch_router.security.redis_url import read_redis_url
from batch_router.settings import Settings

WRONG = ["foo", "http://h/0", "redis://:hush@h:port/0", "redis://:hush@h/x", "redis://:hush@h/-1", "redis://[::1/0"]


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_url_is_refused_by_name(url: str) -> None:
    """One sentence names the variable, and does not show the URL, which may hold a password."""
    for wrong, name in ((Settings(redis_url=url), "REDIS"), (Settings(broker_url=url), "BROKER")):
        with pytest.raises(ValidationError, match=f"^BATCH_ROUTER_{name}_URL is not the URL of a Redis") as caught:
            broker_server(wrong)
        assert "hush" not in str(caught.value)
    with pytest.raises(ValidationError, match=r"^BATCH_ROUTER_REDIS_URL"):
        open_store(Settings(redis_url=url))


def test_the_command_line_names_a_wrong_url(tmp_path: Path) -> None:
    """As for every other mistake: one sentence, and no traceback."""
    environment = {"BATCH_ROUTER_HOME": str(tmp_path), "BATCH_ROUTER_REDIS_URL": "redis://:hush@h:port/0"}
    command = [sys.executable, "-m", "batch_router.cli", "list"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.startswith("batch-router: BATCH_ROUTER_REDIS_URL is not the URL of a Redis database")
    assert "hush" not in done.stderr


@pytest.mark.parametrize(
    ("url", "state", "broker"),
    [
        ("redis://h", "redis://h:6379/0", "redis://h:6379/1"),
        ("redis://h:1/", "redis://h:1/0", "redis://h:1/1"),
        ("redis://h:1/?db=2", "redis://h:1/2", "redis://h:1/3"),
        ("redis://h:1?virtual_host=2", "redis://h:1/2", "redis://h:1/3"),
        ("redis://:a%2Fb@h:1/2", "redis://:a%2Fb@h:1/2", "redis://:a%2Fb@h:1/3"),
        ("redis://u@h:1/2", "redis://u:@h:1/2", "redis://u:@h:1/3"),
        ("redis://u:a@b:c@h:1/2", "redis://u:a%40b%3Ac@h:1/2", "redis://u:a%40b%3Ac@h:1/3"),
        ("rediss://u:p@[::1]:1/0?ssl_cert_reqs=required", "rediss://u:p@[::1]:1/0", "rediss://u:p@[::1]:1/1"),
        ("rediss://h/0?ssl_cert_reqs=CERT_REQUIRED", "rediss://h:6379/0", "rediss://h:6379/1"),
    ],
)
def test_the_messages_are_in_the_next_database(url: str, state: str, broker: str) -> None:
    """Of the state's server, so that they can be wiped alone; both ways of writing a URL mean the same."""
    assert state_server(Settings(redis_url=url)).url == state
    assert broker_server(Settings(redis_url=url)).url == broker
    assert state_server(Settings(redis_url=state)).url == state


SOCKETS = [
    "unix:///run/redis.sock?db=2&password=hush",
    "unix://:hush@/run/redis.sock?db=2",
    "redis+socket:///run/redis.sock?virtual_host=2&password=hush",
    "redis+socket://:hush@/run/redis.sock?virtual_host=2",
]


@pytest.mark.parametrize("url", SOCKETS)
def test_a_socket_is_named_in_either_way(url: str) -> None:
    """That of redis-py and that of Celery; the messages are in its next database."""
    server = state_server(Settings(redis_url=url))
    assert (server.path, server.db, server.password) == ("/run/redis.sock", 2, "hush")
    assert read_redis_url("it", server.url) == server
    assert broker_server(Settings(redis_url=url)).db == 3
    assert broker_server(Settings(redis_url="redis://h/0", broker_url=url)) == server


@pytest.mark.parametrize("url", ["redis://h/1?db=2", "redis://h/1?virtual_host=2", "unix:///s?db=1&virtual_host=2"])
def test_two_databases_are_refused(url: str) -> None:
    """redis-py would take one number, and Celery the other."""
    with pytest.raises(ValidationError, match=r"^BATCH_ROUTER_REDIS_URL names two databases"):
        state_server(Settings(redis_url=url))


HUSH = "hu5h"
UNESCAPED = [f"redis://:{HUSH}{mark}{HUSH}@h:6379/0" for mark in "/?#[]%"] + [f"redis://:1/{HUSH}@h/0"]
UNESCAPED += [
    f"redis://:1?{HUSH}=1@h/0",
    f"rediss://:x@h/0?{HUSH}=1",
    f"redis://:x@{HUSH} {HUSH}/0",
    f"redis://h:{HUSH}/0",
]


@pytest.mark.parametrize("url", UNESCAPED)
def test_no_part_of_a_password_stands_in_an_error(url: str) -> None:
    """Not even in what led to the error; a password with a mark that has no meaning in it is taken as it is."""
    with ExitStack() as taken:
        taken.push(_hides(HUSH))
        server = state_server(Settings(redis_url=url))
        assert server.host == "h"
        assert HUSH in str(server.password)
        assert HUSH not in repr(server)


def _hides(secret: str) -> Callable[..., bool]:
    """The end of a block that may be refused, without the secret in any part of the error."""

    def end(kind: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, ValidationError):
            return False
        assert secret not in "".join(traceback.format_exception(error))
        assert (error.__cause__, error.__context__) == (None, None)
        return True

    return end


@pytest.mark.parametrize(
    "query",
    [*(f"ssl_cert_reqs={word}" for word in ("none", "optional", "CERT_NONE", "CERT_OPTIONAL", "", "0")),
     "ssl_check_hostname=false", "ssl_cert_reqs=required&ssl_cert_reqs=none"],
)  # fmt: skip
def test_less_than_full_verification_is_refused(query: str) -> None:
    """In one sentence, which says what to do."""
    for settings in (Settings(redis_url=f"rediss://h/0?{query}"), Settings(broker_url=f"rediss://h/0?{query}")):
        with pytest.raises(ValidationError, match=r"^BATCH_ROUTER_(REDIS|BROKER)_URL (may|has|is)"):
            broker_server(settings)


@pytest.mark.parametrize("query", ["socket_timeout=1", "ssl_ca_certs=/etc/hostname", "credential_provider=os.system"])
def test_an_unknown_parameter_is_refused(query: str) -> None:
    """One of redis-py's or kombu's would hold for one of the two alone, or name code to run."""
    with pytest.raises(ValidationError, match=r"^BATCH_ROUTER_REDIS_URL has a parameter that is not known"):
        state_server(Settings(redis_url=f"redis://h/0?{query}"))


def test_a_plain_connection_to_another_machine_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the name of the variable; one on this machine is no matter."""
    for _ in range(2):
        for host in ("far.example", "localhost", "127.0.0.1", "[::1]"):
            state_server(Settings(redis_url=f"redis://:hush@{host}/0"))
    (line,) = caplog.messages
    assert line.startswith("BATCH_ROUTER_REDIS_URL: what goes to far.example is not encrypted")


def test_one_place_makes_clients() -> None:
    """No other module of the package reads a URL of Redis, or connects by one."""
    package = Path(batch_router.__file__).parent
    wrong = re.compile(r"\bfrom_url\(|redis\.(Redis|StrictRedis|ConnectionPool|Connection)\(")
    found = {path.name for path in package.rglob("*.py") if wrong.search(path.read_text())}
    assert found == {"redis_url.py"}
