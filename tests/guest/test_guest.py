"""What holds when our fleet and another app's share a broker, a server and a process, in either order of imports."""

import json
import re
import socket
import subprocess
import urllib.error
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.worker.fleet import celery

from .conftest import Fleet, Project, eventually

HOST = socket.gethostname()
THEIRS = f"theirs@{HOST} proj proj"


def test_each_app_stays_its_own(project: Project) -> None:
    """In the site's process the current app, its tasks and its modules are the project's; the guest has none of it."""
    whose = project.ask("whose")
    assert "127.0.0.1" in whose.pop("guest's broker")  # not the project's CELERY_BROKER_URL, which says localhost
    assert whose == {
        "current app": "proj",
        "tasks": ["shop.tasks.note", "shop.tasks.told"],
        "modules": ["the shop", "the shop"],
        "guest's tasks": [],
        "guest's results": "StoreBackend",
    }


def test_the_projects_tasks_run_in_its_workers(project: Project) -> None:
    """Each once, in its own worker, with its own app as the current one."""
    for number in range(20):
        project.ask("buy", what=f"order-{number}")
    eventually(lambda: all(project.ran(f"order-{number}") for number in range(20)))
    assert [project.ran(f"order-{number}") for number in range(20)] == [[THEIRS]] * 20


def test_a_batch_from_a_view_is_answered(project: Project, fleet: Fleet) -> None:
    """Submitted before the fork of gunicorn's workers, and after it by several threads at once."""
    with ThreadPoolExecutor(4) as threads:
        views = list(threads.map(lambda number: project.ask("describe", what=f"item {number}")["batch"], range(8)))
    assert [fleet.answers(batch_id) for batch_id in views] == [2] * 8
    what = f"before the fork, {project.environment['SHOP_IMPORTS_FIRST']} first"
    (early,) = [batch.batch_id for batch in fleet.client.list(100) if batch.metadata == {"what": what}]
    assert fleet.answers(early) == 2


def test_the_end_of_a_batch_comes_as_a_task_and_as_a_webhook(project: Project) -> None:
    """From a view: its task runs in the project's worker, and another view takes the webhook, which it verifies."""
    project.ask("order", what="an order")
    eventually(lambda: project.ran("an order") and project.ran("hook:an order"))
    assert project.ran("an order") == ["completed"]
    (hook,) = project.ran("hook:an order")
    assert re.fullmatch("batch.completed msg_[0-9a-f]{32}", hook)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        project.ask("hook", "POST")


def test_a_batch_from_a_coroutine_is_answered(project: Project, fleet: Fleet) -> None:
    """An asyncio program submits in its loop and in threads."""
    ids = project.run("asynchronous.py").split()
    assert [fleet.answers(batch_id) for batch_id in ids] == [2] * 5


def test_a_rolled_back_transaction_submits_nothing(project: Project, fleet: Fleet) -> None:
    """What is committed is submitted, and the task that is linked to it runs in the project's worker with its end."""
    project.run("transactions.py")
    eventually(lambda: project.ran("committed") == ["completed"])
    submitted = {batch.metadata.get("what", "") for batch in fleet.client.list(100)}
    assert {"committed", "committed by delay"} <= submitted
    assert [what for what in submitted if what.startswith("rolled back")] == []


def test_remote_control_reaches_its_own_workers(project: Project, fleet: Fleet) -> None:
    """A ping of the project is answered by its worker alone, and one of ours by ours alone."""
    command = celery("-A", "proj", "inspect", "ping", "--json")[1:]
    assert set(json.loads(project.run(*command))) == {f"theirs@{HOST}"}
    command = celery("-A", "batch_router.worker", "inspect", "ping", "--json")
    asked = subprocess.run(command, env=fleet.environment, cwd=fleet.folder, capture_output=True, text=True, timeout=60)
    assert set(json.loads(asked.stdout)) == {f"ours@{HOST}"}


def test_a_task_for_later_runs_once(project: Project) -> None:
    """Though our fleet would have sent it again several times by then, had it been ours."""
    eventually(lambda: project.ran("later"))
    eventually(lambda: not project.redis.exists("unacked", "celery"))
    assert project.ran("later") == [THEIRS]


def test_a_shutdown_of_the_project_ends_its_workers_alone(project: Project, fleet: Fleet) -> None:
    """Its broadcast is not for ours, which go on and take the next batch."""
    project.run("-c", "from proj import celery_app; celery_app.control.shutdown()")
    assert project.worker.wait(30) == 0
    assert fleet.worker.process.poll() is None
    assert fleet.answers(project.ask("describe", what="the last item")["batch"]) == 2


def test_nothing_went_to_the_others_workers(project: Project, fleet: Fleet) -> None:
    """No step of ours in the project's log, no task of the project in ours, and nothing was dropped."""
    theirs, ours = project.log("worker").read_text(), fleet.worker.log.read_text()
    assert "batch_router." not in theirs
    assert "shop." not in ours
    assert "message_dropped" not in ours
    assert "shop.tasks.note" in theirs
