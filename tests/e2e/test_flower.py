"""Flower, as the Procfile starts it."""

import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import pytest

from .stack import KEY, run_stack


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, account: str | None = None) -> str:
    manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
    if account:
        manager.add_password(None, url, *account.split(":"), is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    with opener.open(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_flower_shows_the_tasks_to_who_has_the_password(tmp_path: Path) -> None:
    """The steps of a batch by name, with ids for arguments; no key, no prompt; nothing without the password."""
    port, account = free_port(), "operator:pass-4711"
    settings = {"FLOWER_PORT": str(port), "FLOWER_BASIC_AUTH": account}
    with run_stack(tmp_path / "home", "", "io", "cpu", "gpu", "flower", **settings) as stack:
        url = f"http://127.0.0.1:{port}"
        row = {"custom_id": "a", "prompt": "canary-prompt"}
        batch_id = stack.client.submit("openai", model="m", requests=[row])
        assert stack.client.wait(batch_id, timeout=60).request_counts.succeeded == 1
        deadline = time.monotonic() + 30
        while "batch_router.finish" not in (pages := fetch(f"{url}/api/tasks", account)):
            assert time.monotonic() < deadline, pages
            time.sleep(0.2)
        tasks = msgspec.json.decode(pages)
        pages += "".join(fetch(url + page, account) for page in ("/workers", "/broker", "/tasks"))
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetch(url)
    steps = {task["name"].rpartition(".")[2] for task in tasks.values()}
    assert steps == {"convert", "upload", "create", "poll", "download", "normalize", "clean", "finish"}
    assert all(batch_id in task["args"] for task in tasks.values())
    assert not [word for word in ("canary-prompt", KEY) if word in pages]
