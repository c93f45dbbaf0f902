"""Anthropic's Message Batches, as routes below `/anthropic`."""

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from .anthropic_jobs import BadBatchError, MessageBatch, describe, has_ended, split_rows, write_results
from .openai import MADE
from .scenario import Scenario

_MOST_BYTES = 256_000_000
_CHUNK = 1 << 18
_BATCHES = "/v1/messages/batches"
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class ApiError(Exception):
    """An error as the API answers it."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = error_body(status, message)


def error_body(status: int, message: str) -> dict[str, Any]:
    """What the API says with a status that is not 200."""
    usual = "api_error" if status >= 500 else "invalid_request_error"
    return {"type": "error", "error": {"type": _TYPES.get(status, usual), "message": message}, "request_id": None}


class Anthropic:
    """One workspace's batches."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._batches: dict[str, MessageBatch] = {}
        self._numbers = itertools.count(1)
        self._requests = itertools.count(1)
        self._making: dict[str, asyncio.Lock] = {}

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._answer_errors], client_max_size=1 << 30)
        app.add_routes(
            [
                web.post(_BATCHES, self.create_batch),
                web.get(_BATCHES, self.list_batches),
                web.get(f"{_BATCHES}/{{id}}", self.get_batch),
                web.delete(f"{_BATCHES}/{{id}}", self.delete_batch),
                web.post(f"{_BATCHES}/{{id}}/cancel", self.cancel_batch),
                web.get(f"{_BATCHES}/{{id}}/results", self.get_results),
            ]
        )
        return app

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Any) -> web.StreamResponse:
        request_id = f"req_{next(self._requests):024d}"
        try:
            self._check_headers(request)
            answer: web.StreamResponse = await handler(request)
        except ApiError as error:
            body = error.body | {"request_id": request_id}
            answer = web.json_response(body, status=error.status, headers=error.headers)
        answer.headers["request-id"] = request_id
        return answer

    def _check_headers(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        key = request.headers.get("x-api-key") or (token if scheme == "Bearer" else "")
        if not key:
            raise ApiError(401, "x-api-key header is required")
        if self.scenario.keys and key not in self.scenario.keys:
            raise ApiError(401, "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            raise ApiError(400, "anthropic-version: header is required")

    async def create_batch(self, request: web.Request) -> web.Response:
        """POST /v1/messages/batches: to disk as it comes in. What is wrong with a row's params, its result says."""
        batch_id = f"msgbatch_{next(self._numbers):06d}"
        batch = MessageBatch(
            id=batch_id,
            version=request.headers["anthropic-version"],
            rows=self._folder / f"{batch_id}.jsonl",
            results=self._folder / f"{batch_id}_results.jsonl",
            created_at=time.time(),
        )
        body = self._folder / f"{batch_id}.json"
        try:
            await _save(request, body)
            await asyncio.to_thread(_split, body, batch, self.scenario.seed)
        except BadBatchError as error:
            raise ApiError(400, str(error)) from error
        finally:
            body.unlink(missing_ok=True)
        self._batches[batch.id] = batch
        request[MADE] = {"job": batch.id, "first_row": batch.first_row, "rows": len(batch.offsets)}
        return web.json_response(self._describe(request, batch))

    async def list_batches(self, request: web.Request) -> web.Response:
        """GET /v1/messages/batches, newest first."""
        batches = list(reversed(self._batches.values()))
        for batch in batches:
            await self._settle(batch)
        return web.json_response(_page(request, [self._describe(request, batch) for batch in batches]))

    async def get_batch(self, request: web.Request) -> web.Response:
        """GET /v1/messages/batches/{id}; while it runs, with the time after which to ask again."""
        batch = await self._settled(request)
        headers = {"retry-after": "10"} if batch.counts is None else {}
        return web.json_response(self._describe(request, batch), headers=headers)

    async def cancel_batch(self, request: web.Request) -> web.Response:
        """POST /v1/messages/batches/{id}/cancel."""
        batch = await self._settled(request)
        if batch.counts is not None:
            raise ApiError(400, f"Message Batch {batch.id} has ended and cannot be canceled.")
        batch.cancelled_at = batch.cancelled_at or time.time()
        return web.json_response(self._describe(request, batch))

    async def delete_batch(self, request: web.Request) -> web.Response:
        """DELETE /v1/messages/batches/{id}: only what has ended."""
        batch = await self._settled(request)
        if batch.counts is None:
            raise ApiError(400, f"Message Batch {batch.id} cannot be deleted while it is in progress.")
        del self._batches[batch.id]
        batch.rows.unlink()
        batch.results.unlink()
        request[MADE] = {"deleted": batch.id}
        return web.json_response({"id": batch.id, "type": "message_batch_deleted"})

    async def get_results(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/messages/batches/{id}/results, streamed."""
        batch = await self._settled(request)
        if batch.counts is None:
            message = f"Message Batch {batch.id} has no available results."
            raise ApiError(404, message, {"x-should-retry": "false"})
        headers = {
            "content-type": "application/x-jsonl",
            "content-disposition": f'attachment; filename="{batch.results.name}"',
        }
        return web.FileResponse(batch.results, headers=headers, chunk_size=_CHUNK)

    async def _settled(self, request: web.Request) -> MessageBatch:
        """The batch of the request, with its results if it has ended."""
        batch_id = request.match_info["id"]
        if batch_id not in self._batches:
            raise ApiError(404, f"Message Batch {batch_id} not found.")
        batch = self._batches[batch_id]
        await self._settle(batch)
        return batch

    async def _settle(self, batch: MessageBatch) -> None:
        if batch.counts is None and has_ended(batch, self.scenario, time.time()):
            async with self._making.setdefault(batch.id, asyncio.Lock()):
                await asyncio.to_thread(write_results, batch, self.scenario)

    def _describe(self, request: web.Request, batch: MessageBatch) -> dict[str, Any]:
        prefix = request.path.partition("/v1/")[0]
        url = f"{request.url.origin()}{prefix}{_BATCHES}/{batch.id}/results"
        return describe(batch, self.scenario, time.time(), url)


async def _save(request: web.Request, path: Path) -> None:
    size = 0
    with path.open("wb") as stream:
        async for chunk in request.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > _MOST_BYTES:
                # It does not come from the API, but from what stands in front of it.
                text = "<html><body>413 Request Entity Too Large</body></html>"
                raise web.HTTPRequestEntityTooLarge(_MOST_BYTES, size, text=text, content_type="text/html")
            stream.write(chunk)


def _split(body: Path, batch: MessageBatch, seed: int) -> None:
    with body.open("rb") as stream:
        split_rows(stream, batch, seed)


def _page(request: web.Request, found: list[dict[str, Any]]) -> dict[str, Any]:
    limit = int(request.query.get("limit", 20))
    if not 1 <= limit <= 1000:
        raise ApiError(400, "limit: Input should be between 1 and 1000")
    ids = [each["id"] for each in found]
    after, before = request.query.get("after_id"), request.query.get("before_id")
    for cursor in (after, before):
        if cursor is not None and cursor not in ids:
            raise ApiError(400, f"There is no Message Batch {cursor}.")
    if before is not None:
        end = ids.index(before)
        start = max(0, end - limit)
        has_more = start > 0
    else:
        start = ids.index(after) + 1 if after is not None else 0
        end = min(start + limit, len(found))
        has_more = end < len(found)
    page = found[start:end]
    return {
        "data": page,
        "has_more": has_more,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }
