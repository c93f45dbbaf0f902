"""The routes of the Batch API."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from ..account import Account
from ..files import FileStore, StoredFile
from ..keys import Mine
from ..log import MADE
from ..openai_answers import ENDPOINTS
from ..progress import Progress
from .errors import api_error
from .jobs import Job, describe, validate
from .outputs import write_outputs
from .pages import page


class Batches:
    """POST and GET below `/batches`."""

    def __init__(self, account: Account, store: FileStore, folder: Path) -> None:
        self._account = account
        self._store = store
        self.jobs = Mine(Job, folder / "jobs.json")

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        return [
            web.post("/batches", self.create),
            web.get("/batches", self.list_all),
            web.get("/batches/{id}", self.get),
            web.post("/batches/{id}/cancel", self.cancel),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """POST /batches; wrong rows are found later, by a job that fails."""
        body = await request.json()
        stored = self._check_body(body)
        job = Job(
            id=f"batch_{next(self._account.job_numbers):06d}",
            endpoint=body["endpoint"],
            input_file_id=stored.id,
            rows=stored.path,
            metadata=body.get("metadata"),
            created_at=self._account.now(),
            window=body["completion_window"],
        )
        await asyncio.to_thread(validate, job, self._account.scenario, self._queued_tokens())
        self.jobs[job.id] = job
        job.rows = self._account.take(job, job.id, " ".join((job.metadata or {}).values()), job.rows)
        request[MADE] = {"job": job.id, "metadata": job.metadata, "rows": len(job.offsets), "window": job.window}
        # However fast the job is, the answer to create says `validating`.
        return web.json_response(describe(job, self._account.scenario, job.created_at - 1))

    def _queued_tokens(self) -> int:
        """The tokens of the jobs that run."""
        now, scenario = self._account.now(), self._account.scenario
        return sum(job.tokens for job in self.jobs.values() if not _is_over(Progress(job, scenario, now).status))

    def _check_body(self, body: dict[str, Any]) -> StoredFile:
        for name in ("input_file_id", "endpoint", "completion_window"):
            if name not in body:
                raise api_error(400, f"Missing required parameter: '{name}'.", param=name)
        if body["endpoint"] not in ENDPOINTS:
            raise api_error(400, f"Invalid value: '{body['endpoint']}'.", param="endpoint")
        stored = self._store.files.get(body["input_file_id"])
        if stored is None:
            raise api_error(400, f"No such File object: {body['input_file_id']}", param="input_file_id")
        return stored

    async def list_all(self, request: web.Request) -> web.Response:
        """GET /batches, newest first."""
        now = self._account.now()
        found = [describe(job, self._account.scenario, now) for job in self.jobs.newest_first()]
        return web.json_response(page(request, found, default=20, most=100))

    async def get(self, request: web.Request) -> web.Response:
        """GET /batches/{id}."""
        job = self._find(request)
        if job.counts is None:
            scenario = self._account.scenario
            await self._account.make_once(job.id, lambda: write_outputs(job, self._store, scenario))
        return web.json_response(describe(job, self._account.scenario, self._account.now()))

    async def cancel(self, request: web.Request) -> web.Response:
        """POST /batches/{id}/cancel."""
        job = self._find(request)
        now = self._account.now()
        status = Progress(job, self._account.scenario, now).status
        if _is_over(status):
            raise api_error(409, f"Cannot cancel a batch with status '{status}'.")
        job.cancelled_at = job.cancelled_at or now
        return web.json_response(describe(job, self._account.scenario, now))

    def _find(self, request: web.Request) -> Job:
        job_id = request.match_info["id"]
        if job_id not in self.jobs:
            raise api_error(404, f"No batch found with id '{job_id}'.")
        return self.jobs[job_id]


def _is_over(status: str) -> bool:
    return status in ("completed", "failed", "expired", "cancelled")
