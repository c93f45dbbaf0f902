"""Celery's own ways with a batch, from a FastAPI project with a worker of its own, over workers of ours."""

import re
import subprocess
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from batch_router.simulator import Scenario
from batch_router.simulator.scenario import Latency
from tests.worker.fleet import celery

from .conftest import Fleet, Project, eventually


def webhooks(web: Project, batch_id: str) -> list[str]:
    """The events that the site has printed of a batch, with the ids of their messages."""
    return re.findall(rf"^msg_\w+ (\S+) {batch_id}$", web.log("site").read_text(), re.MULTILINE)


@contextmanager
def long_jobs(fleet: Fleet) -> Iterator[None]:
    """The provider takes its time."""
    fleet.simulator.change(Scenario(latency=Latency(in_progress=600)))
    yield
    fleet.simulator.change(Scenario())


WAYS = {
    "linked": {"save linked": "{0} completed"},
    "chained": {"save chained": "{0} completed", "report": "{0}"},
    "grouped": {"save a": "{0} completed", "save b": "{1} completed"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_ends_in_a_task_and_a_webhook(web: Project, way: str) -> None:
    """A task of the project gets the manifest, and the site, as the page about webhooks has it, takes the event."""
    ids = web.ask(way, "POST")
    for name, line in WAYS[way].items():
        eventually(partial(web.ran, name))
        assert web.ran(name) == [line.format(*ids)]
    for batch_id in ids:
        eventually(partial(webhooks, web, batch_id))
        assert webhooks(web, batch_id) == ["batch.completed"]
        assert web.ask(f"state/{batch_id}") == "SUCCESS"


def test_the_site_refuses_what_is_not_signed(web: Project) -> None:
    """As the OpenAI SDK finds out."""
    with pytest.raises(urllib.error.HTTPError, match="400"):
        web.ask("hooks", "POST")


@pytest.mark.parametrize("how", ["method", "control command"])
def test_a_revoked_batch_is_cancelled(web: Project, fleet: Fleet, how: str) -> None:
    """By `AsyncResult.revoke` or `control.revoke`: its errback runs, the webhook says so, and the state is Celery's."""
    with long_jobs(fleet):
        (batch_id,) = web.ask("linked", "POST")
        eventually(lambda: web.ask(f"state/{batch_id}") == "STARTED")
        web.ask(f"revoke/{batch_id}", "POST", how=how)
        eventually(lambda: web.ran(f"alarm {batch_id}"))
    assert web.ran(f"alarm {batch_id}") == ["REVOKED"]
    eventually(lambda: webhooks(web, batch_id))
    assert webhooks(web, batch_id) == ["batch.cancelled"]


SCHEDULE = """
from batch_router.worker.config import *

_rows = [{"custom_id": "a", "prompt": "Hello"}]
_asked = {"provider": "openai", "model": "m", "requests": _rows, "metadata": {"by": "beat"}}
beat_schedule = {"often": {"task": "batch_router.submit_batch", "schedule": 1, "kwargs": _asked}}
"""


def test_beat_submits_on_a_schedule(fleet: Fleet) -> None:
    """A process of beat's makes one batch each time that it is due, and workers answer it."""
    (fleet.folder / "scheduled.py").write_text(SCHEDULE)
    environment = fleet.environment | {"BATCH_ROUTER_CELERY_CONFIG": "scheduled"}
    command = celery("-A", "batch_router.worker", "beat", "-l", "INFO", "--pidfile=")
    log = fleet.folder / "beat.log"
    with log.open("wb") as stream:
        beat = subprocess.Popen(command, env=environment, cwd=fleet.folder, stdout=stream, stderr=stream)
    try:
        eventually(lambda: len(_scheduled(fleet)) > 1 or beat.poll() is not None)
    finally:
        beat.terminate()
        beat.wait(30)
    made = _scheduled(fleet)
    assert len(made) == log.read_text().count("Sending due task often") > 1
    assert [fleet.answers(batch_id) for batch_id in made] == [1] * len(made)


def _scheduled(fleet: Fleet) -> list[str]:
    return [batch.batch_id for batch in fleet.client.list(100) if batch.metadata == {"by": "beat"}]
