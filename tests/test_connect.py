"""From settings to servers: where the state and the messages are."""

import subprocess
import sys
from pathlib import Path

import pytest

from batch_router.connect import broker_url, open_store, state_url
from batch_router.exceptions import ValidationError
from batch_router.settings import Settings

WRONG = ["foo", "http://h/0", "redis://:hush@h:port/0", "redis://:hush@h/x", "redis://:hush@h/-1", "redis://[::1/0"]


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_url_is_refused_by_name(url: str) -> None:
    """One sentence names the variable, and does not show the URL, which may hold a password."""
    for wrong, name in ((Settings(redis_url=url), "REDIS"), (Settings(broker_url=url), "BROKER")):
        with pytest.raises(ValidationError, match=f"^BATCH_ROUTER_{name}_URL is not the URL of a Redis") as caught:
            broker_url(wrong)
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
    ("url", "broker"),
    [
        ("redis://h", "redis://h/1"),
        ("redis://h:1/", "redis://h:1/1"),
        ("redis://:a%2Fb@h:1/2", "redis://:a%2Fb@h:1/3"),
        ("rediss://u:p@[::1]:1/0?ssl_cert_reqs=none", "rediss://u:p@[::1]:1/1?ssl_cert_reqs=none"),
    ],
)
def test_the_messages_are_in_the_next_database(url: str, broker: str) -> None:
    """Of the state's server, so that they can be wiped alone."""
    assert state_url(Settings(redis_url=url)) == url
    assert broker_url(Settings(redis_url=url)) == broker


def test_a_socket_needs_a_broker_of_its_own() -> None:
    """Redis' client takes a path, Celery's does not."""
    socket = Settings(redis_url="unix:///run/redis.sock")
    assert state_url(socket) == socket.redis_url
    with pytest.raises(ValidationError, match=r"^BATCH_ROUTER_BROKER_URL: needed"):
        broker_url(socket)
