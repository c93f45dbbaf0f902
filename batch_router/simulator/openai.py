"""OpenAI's Files and Batches, as routes below `/openai/v1`."""

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web

from .files import FileStore, StoredFile
from .jobs import Clock, Job, describe, validate, write_outputs
from .scenario import Scenario

#: What a request made, for the log: ids and labels.
MADE = web.RequestKey("made", dict[str, Any])

_MOST_BYTES = 200_000_000
_CHUNK = 1 << 18
_ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions", "/v1/moderations")


class ApiError(Exception):
    """An error as the API answers it; all four keys are always there."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


class OpenAI:
    """One account's files and batches."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self._files = FileStore(folder)
        self._jobs: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self._making: dict[str, asyncio.Lock] = {}

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._answer_errors], client_max_size=1 << 30)
        app.add_routes(
            [
                web.post("/files", self.create_file),
                web.get("/files", self.list_files),
                web.get("/files/{id}", self.get_file),
                web.delete("/files/{id}", self.delete_file),
                web.get("/files/{id}/content", self.get_content),
                web.post("/batches", self.create_batch),
                web.get("/batches", self.list_batches),
                web.get("/batches/{id}", self.get_batch),
                web.post("/batches/{id}/cancel", self.cancel_batch),
            ]
        )
        return app

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            self._check_key(request)
            answer: web.StreamResponse = await handler(request)
        except ApiError as error:
            answer = web.json_response(error.body, status=error.status)
        return answer

    def _check_key(self, request: web.Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key:
            raise ApiError(401, "You didn't provide an API key.")
        if self.scenario.keys and key not in self.scenario.keys:
            shown = f"{key[:3]}***{key[-2:]}"
            raise ApiError(401, f"Incorrect API key provided: {shown}.", code="invalid_api_key")

    async def create_file(self, request: web.Request) -> web.Response:
        """POST /files: multipart, written to disk as it comes in."""
        if not request.content_type.startswith("multipart/"):
            raise ApiError(400, "Expected a multipart form.")
        purpose, filename, size = "", "", 0
        file_id, path = self._files.begin()
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "purpose":
                purpose = await part.text()
            elif part.name == "file":
                filename = part.filename or ""
                size = await _save(part, path)
        if not filename or not purpose:
            raise ApiError(400, "'file' and 'purpose' are required.", param="file" if purpose else "purpose")
        if purpose == "batch" and not filename.endswith(".jsonl"):
            raise ApiError(400, "Invalid file format for Batch API. Must be .jsonl", param="file")
        if size > _MOST_BYTES:
            raise ApiError(413, "The file is larger than 200 MB.")
        stored = self._files.add(file_id, path, filename, purpose)
        request[MADE] = {"file": file_id, "filename": filename}
        return web.json_response(stored.describe())

    async def list_files(self, request: web.Request) -> web.Response:
        """GET /files."""
        purpose = request.query.get("purpose")
        found = [stored.describe() for stored in self._files.files.values() if purpose in (None, stored.purpose)]
        return web.json_response(_page(request, found[::-1], default=10_000, most=10_000))

    async def get_file(self, request: web.Request) -> web.Response:
        """GET /files/{id}."""
        return web.json_response(self._file(request).describe())

    async def delete_file(self, request: web.Request) -> web.Response:
        """DELETE /files/{id}."""
        stored = self._file(request)
        self._files.delete(stored.id)
        request[MADE] = {"deleted": stored.id}
        return web.json_response({"id": stored.id, "object": "file", "deleted": True})

    async def get_content(self, request: web.Request) -> web.StreamResponse:
        """GET /files/{id}/content, streamed."""
        stored = self._file(request)
        headers = {
            "content-type": "application/octet-stream",
            "content-disposition": f'attachment; filename="{stored.filename}"',
        }
        return web.FileResponse(stored.path, headers=headers, chunk_size=_CHUNK)

    async def create_batch(self, request: web.Request) -> web.Response:
        """POST /batches. What is wrong with the rows is found out later, by a job that fails."""
        body = await request.json()
        for name in ("input_file_id", "endpoint", "completion_window"):
            if name not in body:
                raise ApiError(400, f"Missing required parameter: '{name}'.", param=name)
        if body["endpoint"] not in _ENDPOINTS:
            raise ApiError(400, f"Invalid value: '{body['endpoint']}'.", param="endpoint")
        stored = self._files.files.get(body["input_file_id"])
        if stored is None:
            raise ApiError(400, f"No such File object: {body['input_file_id']}", param="input_file_id")
        job = Job(
            id=f"batch_{next(self._numbers):06d}",
            endpoint=body["endpoint"],
            input_file_id=stored.id,
            metadata=body.get("metadata"),
            created_at=time.time(),
        )
        await asyncio.to_thread(validate, job, stored.path, self.scenario)
        self._jobs[job.id] = job
        request[MADE] = {"job": job.id, "metadata": job.metadata, "rows": len(job.offsets)}
        # However fast it is, the answer to create says `validating`.
        return web.json_response(describe(job, self.scenario, job.created_at - 1))

    async def list_batches(self, request: web.Request) -> web.Response:
        """GET /batches, newest first."""
        now = time.time()
        found = [describe(job, self.scenario, now) for job in reversed(self._jobs.values())]
        return web.json_response(_page(request, found, default=20, most=100))

    async def get_batch(self, request: web.Request) -> web.Response:
        """GET /batches/{id}."""
        job = self._job(request)
        await self._make_outputs(job)
        return web.json_response(describe(job, self.scenario, time.time()))

    async def cancel_batch(self, request: web.Request) -> web.Response:
        """POST /batches/{id}/cancel."""
        job = self._job(request)
        now = time.time()
        status = Clock(job, self.scenario, now).status
        if status in ("completed", "failed", "expired", "cancelled"):
            raise ApiError(409, f"Cannot cancel a batch with status '{status}'.")
        job.cancelled_at = job.cancelled_at or now
        return web.json_response(describe(job, self.scenario, now))

    async def _make_outputs(self, job: Job) -> None:
        if job.counts is None:
            async with self._making.setdefault(job.id, asyncio.Lock()):
                await asyncio.to_thread(write_outputs, job, self._files, self.scenario)

    def _file(self, request: web.Request) -> StoredFile:
        file_id = request.match_info["id"]
        if file_id not in self._files.files:
            raise ApiError(404, f"No such File object: {file_id}", param="id")
        return self._files.files[file_id]

    def _job(self, request: web.Request) -> Job:
        job_id = request.match_info["id"]
        if job_id not in self._jobs:
            raise ApiError(404, f"No batch found with id '{job_id}'.")
        return self._jobs[job_id]


async def _save(part: BodyPartReader, path: Path) -> int:
    size = 0
    with path.open("wb") as stream:
        while chunk := await part.read_chunk(_CHUNK):
            stream.write(chunk)
            size += len(chunk)
    return size


def _page(request: web.Request, found: list[dict[str, Any]], *, default: int, most: int) -> dict[str, Any]:
    limit = int(request.query.get("limit", default))
    if not 1 <= limit <= most:
        raise ApiError(400, f"limit must be between 1 and {most}.", param="limit")
    after = request.query.get("after")
    ids = [each["id"] for each in found]
    if after is not None and after not in ids:
        raise ApiError(400, f"No such object: {after}", param="after")
    start = ids.index(after) + 1 if after is not None else 0
    page = found[start : start + limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(found),
    }
