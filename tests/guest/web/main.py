"""A FastAPI project with a Celery app of its own, on a broker of its own. `hooks.py` is the block of docs/webhooks.md.

`celery -A main:shop worker` runs its tasks.
"""

import os

import redis
from celery import Celery, chain, group
from fastapi import Request
from hooks import app

from batch_router.worker import submit_batch

shop = Celery("web", broker=os.environ["WEB_REDIS_URL"])
shop.conf.task_ignore_result = True


def note(line: str) -> None:
    """Note what ran."""
    redis.Redis.from_url(os.environ["WEB_REDIS_URL"]).rpush("web:ran", line)


@shop.task
def save(manifest: dict, what: str) -> str:
    """Note how a batch ended."""
    note(f"save {what} {manifest['batch_id']} {manifest['status']}")
    return manifest["batch_id"]


@shop.task
def report(batch_id: str) -> None:
    """Note that the task before this one ran."""
    note(f"report {batch_id}")


@shop.task
def alarm(batch_id: str) -> None:
    """Note that a batch did not succeed, and what Celery knows of it."""
    note(f"alarm {batch_id} {submit_batch.AsyncResult(batch_id).state}")


def asked(request: Request) -> dict:
    """A batch of one row that tells of its end."""
    row = {"custom_id": "a", "prompt": "Hello"}
    return {"provider": "openai", "model": "m", "requests": [row], "webhook": str(request.url_for("hook"))}


@app.post("/linked")
def linked(request: Request) -> list[str]:
    """A batch with a task for either end."""
    job = submit_batch.apply_async((), asked(request), link=save.s("linked"), link_error=alarm.s())
    return [job.id]


@app.post("/chained")
def chained(request: Request) -> list[str]:
    """A batch, a task with its manifest, and a task with what that one returns."""
    last = chain(submit_batch.s(**asked(request)), save.s("chained"), report.s()).apply_async()
    return [last.parent.parent.id]


@app.post("/grouped")
def grouped(request: Request) -> list[str]:
    """Two batches."""
    batch = submit_batch.s(**asked(request))
    batches = group(batch.clone().set(link=[save.s(each)]) for each in "ab").apply_async()
    return [job.id for job in batches.results]


@app.get("/state/{batch_id}")
def state(batch_id: str) -> str:
    """What Celery says of a batch."""
    return submit_batch.AsyncResult(batch_id).state


@app.post("/revoke/{batch_id}")
def revoke(batch_id: str, how: str) -> None:
    """Cancel it."""
    if how == "method":
        submit_batch.AsyncResult(batch_id).revoke()
    else:
        submit_batch.app.control.revoke(batch_id)
