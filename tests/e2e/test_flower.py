"""Flower, as the Procfile starts it."""

import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from batch_router.connect import broker_server
from batch_router.settings import Settings
from tests.worker import wire

from .stack import KEY, Stack, processes_of, run_stack


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, account: str | None = None, body: bytes | None = None) -> str:
    manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
    if account:
        user, password = account.split(":")
        manager.add_password(None, url, user, password, is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    with opener.open(url, body, timeout=10) as answer:
        return str(answer.read().decode())


@contextmanager
def paused(home: Path, node: str) -> Iterator[None]:
    """A worker that takes no messages for as long as the block runs."""
    pids = [pid for pid, command in processes_of(home).items() if f" -n {node}" in command]  # its guard's, too
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _act_in_vain(url: str, account: str, folder: Path) -> None:
    """The account may look: no address starts a task in Flower's process, sends one, or changes a worker."""
    (folder / "secret.jsonl").write_text('{"custom_id": "a", "prompt": "canary-prompt"}\n')
    arguments = {"args": ["openai"], "kwargs": {"model": "m", "input": str(folder / "secret.jsonl")}}
    submits = [f"task/{how}/batch_router.submit_batch" for how in ("apply", "async-apply", "send-task")]
    changes = ["worker/shutdown/io@h", "worker/pool/grow/io@h", "task/rate-limit/a"]
    for path in submits + changes:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(f"{url}/api/{path}", account, msgspec.json.encode(arguments))


def _pages_about_a_batch_by_name(stack: Stack, url: str, account: str) -> str:
    """What Flower shows of a task whose message brings rows, while it waits and when it has ended."""
    hidden = {"model": "m", "requests": [{"custom_id": "a", "prompt": "canary-prompt"}]}
    later = (datetime.now(UTC) + timedelta(seconds=100)).isoformat()
    with broker_server(Settings(home=stack.home)).client() as broker:
        for task_id, eta in (("now", None), ("later", later)):
            headers = wire.headers_of("batch_router.submit_batch", id=task_id, eta=eta, argsrepr="canary-prompt")
            broker.lpush("batch_router.io", wire.envelope(headers, [["openai"], hidden, wire.NO_CALLS]))
    deadline = time.monotonic() + 60
    while not {"now", "later"} <= set(msgspec.json.decode(tasks := fetch(f"{url}/api/tasks", account))):
        assert time.monotonic() < deadline, tasks
        time.sleep(0.2)
    shown = fetch(f"{url}/api/workers?refresh=1&workername=io@{socket.gethostname()}", account)
    assert "later" in shown
    return tasks + shown


def test_flower_shows_the_tasks_to_who_has_the_password(tmp_path: Path) -> None:
    """Steps by name with ids for arguments, queues with their length; no key, no prompt; a password; `revoke`."""
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
        _act_in_vain(url, account, tmp_path)
        tasks = msgspec.json.decode(pages)
        pages += _pages_about_a_batch_by_name(stack, url, account)
        pages += "".join(fetch(url + page, account) for page in ("/workers", "/broker", "/tasks"))
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetch(url)
        with paused(stack.home, "io@"):
            unwanted = stack.client.submit("openai", model="m", requests=[row])
            while not re.search(r"<td>io</td>\s*<td[^>]*>1</td>", page := fetch(f"{url}/broker", account)):
                assert time.monotonic() < deadline + 30, page
                time.sleep(0.2)
            fetch(f"{url}/api/task/revoke/{unwanted}", account, b"")
        assert stack.client.wait(unwanted, timeout=60).status == "cancelled"
    steps = {task["name"].rpartition(".")[2] for task in tasks.values()}
    assert steps == {"convert", "upload", "create", "poll", "download", "normalize", "clean", "finish"}
    assert all(batch_id in task["args"] for task in tasks.values())
    assert all(re.fullmatch(rf"{batch_id}(\.0)?-v[0-9]+", task_id) for task_id in tasks)
    assert not [word for word in ("canary-prompt", KEY) if word in pages]
