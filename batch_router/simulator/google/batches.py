"""The routes of the batches."""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from ..account import Account
from ..files import FileStore
from ..keys import Mine
from ..log import MADE
from ..rows import encode_line
from .errors import api_error
from .jobs import Job, is_done, state_of, validate
from .operations import describe
from .outputs import write_outputs
from .pages import page

_MOST_INLINE = 20_000_000


class _Input(NamedTuple):
    """Where a job's requests come from: a file, or the body of the create."""

    file_name: str | None
    inline: list[dict[str, Any]] | None


class Batches:
    """Batches below `/V/models/{model}` (create) and `/V/batches`."""

    def __init__(self, account: Account, store: FileStore, folder: Path) -> None:
        self._account = account
        self._store = store
        self.jobs = Mine(Job, folder / "jobs.json")

    def routes(self, version: str) -> list[web.RouteDef]:
        """The paths of a version of the API."""
        model, batch = rf"/{version}/models/{{model:[^:]+}}", rf"/{version}/batches/{{id:[^:/]+}}"
        return [
            web.post(f"{model}:batchGenerateContent", self.create),
            web.post(f"{model}:asyncBatchEmbedContent", self.create),
            web.get(f"/{version}/batches", self.list_all),
            web.get(batch, self.get),
            web.delete(batch, self.delete),
            web.post(f"{batch}:cancel", self.cancel),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """POST /V/models/{model}:batchGenerateContent or :asyncBatchEmbedContent."""
        body = (await request.json()).get("batch")
        given = self._input_of(body)
        file_name = given.file_name
        job = Job(
            name=f"batches/{next(self._account.job_numbers):06d}sim",
            model=f"models/{request.match_info['model']}",
            display_name=body.get("displayName") or body.get("display_name") or "",
            rows=self._store.files[file_name].path if file_name else self._save_inline(given.inline or []),
            input={"fileName": file_name} if file_name else None,
            embeds=request.path.endswith(":asyncBatchEmbedContent"),
            created_at=self._account.now(),
        )
        await asyncio.to_thread(validate, job, self._account.scenario)
        self._check_queue(job)
        self.jobs[job.name] = job
        job.rows = self._account.take(job, job.name, job.display_name, job.rows)
        request[MADE] = {"job": job.name, "metadata": {"displayName": job.display_name}, "rows": len(job.offsets)}
        # However fast the job is, the answer to create says PENDING.
        return web.json_response(describe(job, self._account.scenario, job.created_at - 1))

    def _check_queue(self, job: Job) -> None:
        """Refuse a job whose tokens go beyond the limit of those that run together."""
        now, scenario = self._account.now(), self._account.scenario
        others = [each for each in self.jobs.values() if not is_done(state_of(each, scenario, now))]
        queued = sum(each.tokens for each in [*others, job])
        if scenario.queued_tokens is not None and queued > scenario.queued_tokens:
            raise api_error(429, "You exceeded your current quota, please check your plan and billing details.")

    def _input_of(self, body: Any) -> _Input:
        if not isinstance(body, dict):
            raise api_error(400, "'batch' is required.")
        config = body.get("inputConfig") or body.get("input_config") or {}
        file_name = config.get("fileName") or config.get("file_name")
        inline = (config.get("requests") or {}).get("requests")
        if (file_name is None) == (inline is None):
            raise api_error(400, "Exactly one of file_name and requests must be given.")
        if file_name is not None and file_name not in self._store.files:
            raise api_error(404, f"The file {file_name} does not exist.")
        return _Input(file_name, inline)

    def _save_inline(self, requests: list[dict[str, Any]]) -> Path:
        _, path = self._store.begin()
        rows = [{"key": (each.get("metadata") or {}).get("key"), "request": each.get("request")} for each in requests]
        content = b"".join(encode_line(row) for row in rows)
        if len(content) > _MOST_INLINE:
            raise api_error(400, "Request payload size exceeds the limit: 20971520 bytes.")
        path.write_bytes(content)
        return path

    async def list_all(self, request: web.Request) -> web.Response:
        """GET /V/batches, newest first, without inlined responses."""
        now, scenario = self._account.now(), self._account.scenario
        found = [describe(job, scenario, now, with_inlined=False) for job in self.jobs.newest_first()]
        return web.json_response(page(request, "operations", found))

    async def get(self, request: web.Request) -> web.Response:
        """GET /V/batches/{id}."""
        job = self._find(request)
        if job.counts is None:
            scenario = self._account.scenario
            await self._account.make_once(job.name, lambda: write_outputs(job, self._store, scenario))
        return web.json_response(describe(job, self._account.scenario, self._account.now()))

    async def cancel(self, request: web.Request) -> web.Response:
        """POST /V/batches/{id}:cancel."""
        job = self._find(request)
        now = self._account.now()
        if is_done(state_of(job, self._account.scenario, now)):
            raise api_error(400, "The batch has ended and cannot be cancelled.")
        job.cancelled_at = job.cancelled_at or now
        return web.json_response({})

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /V/batches/{id}."""
        job = self._find(request)
        del self.jobs[job.name]
        request[MADE] = {"deleted": job.name}
        return web.json_response({})

    def _find(self, request: web.Request) -> Job:
        name = f"batches/{request.match_info['id']}"
        if name not in self.jobs:
            raise api_error(404, "Requested entity was not found.")
        return self.jobs[name]
