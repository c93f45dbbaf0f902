"""Clients of the official SDKs, all their calls, and what they are answered."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batch_router.core import BatchStatus
from batch_router.core.jobs import Job, JobSpec
from batch_router.providers import find_provider
from batch_router.providers.base import Client, Rows
from batch_router.settings import Settings
from tests.file_rows import FileRows

from .hostile_server import Answer, reply

KEY = "sk-canary-0123456789"
PROMPT = "a secret prompt"
ROOT = Path(__file__).parents[2]
PROVIDERS = ("openai", "anthropic", "google")
# A name of each kind: of jobs, files and answers.
NAMES = {
    "openai": ("batch_1", "file-1", "file-2"),
    "anthropic": ("msgbatch_1", None, "/v1/messages/batches/msgbatch_1/results"),
    "google": ("batches/1", "files/1", "files/2"),
}
Call = Callable[[Client, Rows, JobSpec, Job], object]
CALLS: dict[str, Call] = {
    "upload": lambda client, rows, spec, _: client.upload(rows, spec),
    "create": lambda client, rows, spec, _: client.create(rows, spec),
    "get": lambda client, _, __, job: client.get(job.id),
    "list": lambda client, _, __, ___: list(client.list(math.inf)),
    "cancel": lambda client, _, __, job: client.cancel(job.id),
    "download": lambda client, _, __, job: client.download(job, io.BytesIO()),
    "find_uploads": lambda client, _, spec, __: list(client.find_uploads(spec, math.inf)),
    "delete_upload": lambda client, _, spec, __: client.delete_upload(str(spec.upload)),
    "delete": lambda client, _, __, job: client.delete(job),
}
# What asks nothing: Anthropic has no files, and Google's have names that we chose.
SILENT = {
    ("anthropic", "upload"),
    ("anthropic", "find_uploads"),
    ("anthropic", "delete_upload"),
    ("google", "find_uploads"),
}


def client_of(provider: str, url: str, timeout: float = 60, **settings: Any) -> Client:
    return find_provider(provider)(KEY, base_url=url).connect(Settings(http_timeout=timeout, **settings))


def spec_of(provider: str) -> JobSpec:
    return JobSpec(label="t", model="m", rows=1, upload=NAMES[provider][1])


def job_of(provider: str) -> Job:
    job_id, _, answers = NAMES[provider]
    return Job(id=str(job_id), status=BatchStatus.COMPLETED, created_at=0.0, outputs=(str(answers),))


def call(name: str, provider: str, client: Client, rows: FileRows) -> object:
    return CALLS[name](client, rows, spec_of(provider), job_of(provider))


def job_answer(provider: str, **fields: Any) -> dict[str, Any]:
    """A job as a provider describes it, ended, with other fields."""
    if provider == "openai":
        return {"id": "batch_1", "status": "completed", "output_file_id": "file-2", "created_at": 1} | fields
    if provider == "anthropic":
        return {"id": "msgbatch_1", "processing_status": "ended", "results_url": None, "created_at": "x"} | fields
    metadata = {"state": "BATCH_STATE_SUCCEEDED"} | fields.pop("metadata", {})
    return {"name": "batches/1", "done": True, "metadata": metadata} | fields


def says(answer: Any) -> Answer:
    return lambda _: reply(200, json.dumps(answer).encode(), content_type="application/json")
