"""The same road as a plain Celery chain over Redis, as the manuals have it: what the protocol is compared with.

Late acknowledgement, rejection when a worker is lost, a visibility timeout well above the longest task and countdown,
retries with a back-off, the SDK's own defaults. The results of a shard are written whole, under its name.
"""

import os
import sys
from pathlib import Path
from typing import Any

import openai
from celery import Celery, Task, chain

from batch_router.connect import broker_server
from batch_router.settings import Settings

from .stack import write_whole
from .trace import FOLDER, Trace, tell_messages

#: How long a message may be unacknowledged; kombu looks for those about every 100 s.
VISIBILITY_TIMEOUT = 20

app = Celery("plain", broker=broker_server(Settings.from_env()).url)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_default_queue="io",
    worker_prefetch_multiplier=1,
    broker_transport_options={"visibility_timeout": VISIBILITY_TIMEOUT},
    broker_connection_retry_on_startup=True,
)
trace = Trace(Path(os.environ[FOLDER]), "app")
tell_messages(trace)
_RETRIES: dict[str, Any] = {"autoretry_for": (openai.APIError,), "retry_backoff": True, "max_retries": None}


def client() -> openai.OpenAI:
    return openai.OpenAI(base_url=os.environ["BATCH_ROUTER_OPENAI_BASE_URL"], timeout=5)


@app.task(**_RETRIES)
def upload(shard: str) -> dict[str, str]:
    with Path(shard).open("rb") as rows, trace.around("upload/client.upload", ""):
        return {"shard": shard, "file": client().files.create(file=rows, purpose="batch").id}


@app.task(**_RETRIES)
def create(facts: dict[str, str]) -> dict[str, str]:
    with trace.around("create/client.create", ""):
        job = client().batches.create(
            input_file_id=facts["file"],
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"batch_router_label": Path(facts["shard"]).stem},
        )
    return facts | {"job": job.id}


@app.task(bind=True, **_RETRIES)
def poll(self: Task, facts: dict[str, str]) -> dict[str, str]:
    with trace.around("poll/client.get", ""):
        job = client().batches.retrieve(facts["job"])
    if job.status != "completed":
        raise self.retry(countdown=1)
    return facts | {"output": str(job.output_file_id)}


@app.task(**_RETRIES)
def download(facts: dict[str, str]) -> None:
    with trace.around("download/client.download", ""):
        answers = client().files.content(facts["output"]).content
    with trace.around("download/write results", ""):
        write_whole(Path(facts["shard"]).with_suffix(".results"), answers)


if __name__ == "__main__":  # an app that sends one shard, a file of rows
    names = ("upload", "create", "poll", "download")
    first, *rest = (app.signature(f"tests.drills.plain.{name}") for name in names)
    chain(first.clone(args=(sys.argv[1],)), *rest).apply_async()
