"""The routes of the Message Batches API."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from ..account import CHUNK, Account
from ..keys import Mine
from ..log import MADE
from ..progress import Progress
from .errors import api_error
from .jobs import MessageBatch, describe
from .pages import page
from .requests import BadBatchError, split_requests
from .results import write_results

_MOST_BYTES = 256_000_000
_BATCHES = "/v1/messages/batches"


class Batches:
    """POST, GET and DELETE below `/v1/messages/batches`."""

    def __init__(self, account: Account, folder: Path) -> None:
        self._account = account
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self.jobs = Mine(MessageBatch, folder / "jobs.json")

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        return [
            web.post(_BATCHES, self.create),
            web.get(_BATCHES, self.list_all),
            web.get(f"{_BATCHES}/{{id}}", self.get),
            web.delete(f"{_BATCHES}/{{id}}", self.delete),
            web.post(f"{_BATCHES}/{{id}}/cancel", self.cancel),
            web.get(f"{_BATCHES}/{{id}}/results", self.get_results),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """POST /v1/messages/batches; wrong params are found later, and reported in the row's result."""
        batch_id = f"msgbatch_{next(self._account.job_numbers):06d}"
        batch = MessageBatch(
            id=batch_id,
            version=request.headers["anthropic-version"],
            rows=self._folder / f"{batch_id}.jsonl",
            results=self._folder / f"{batch_id}_results.jsonl",
            created_at=self._account.now(),
        )
        await self._read_rows(request, batch)
        self.jobs[batch.id] = batch
        self._account.take(batch, batch.id, "", batch.rows)
        request[MADE] = {"job": batch.id, "first_row": batch.first_row, "rows": len(batch.offsets)}
        return web.json_response(self._describe(request, batch))

    async def _read_rows(self, request: web.Request, batch: MessageBatch) -> None:
        body = self._folder / f"{batch.id}.json"
        try:
            await _save(request, body)
            await asyncio.to_thread(split_requests, body, batch, self._account.scenario)
        except BadBatchError as error:
            raise api_error(400, str(error)) from error
        finally:
            body.unlink(missing_ok=True)

    async def list_all(self, request: web.Request) -> web.Response:
        """GET /v1/messages/batches, newest first."""
        batches = self.jobs.newest_first()
        for batch in batches:
            await self._settle(batch)
        return web.json_response(page(request, [self._describe(request, batch) for batch in batches]))

    async def get(self, request: web.Request) -> web.Response:
        """GET /v1/messages/batches/{id}; while it runs, with the time to wait before the next request."""
        batch = await self._find(request)
        headers = {"retry-after": "10"} if batch.counts is None else {}
        return web.json_response(self._describe(request, batch), headers=headers)

    async def cancel(self, request: web.Request) -> web.Response:
        """POST /v1/messages/batches/{id}/cancel."""
        batch = await self._find(request)
        if batch.counts is not None:
            raise api_error(400, f"Message Batch {batch.id} has ended and cannot be canceled.")
        batch.cancelled_at = batch.cancelled_at or self._account.now()
        return web.json_response(self._describe(request, batch))

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /v1/messages/batches/{id}; only for a batch that has ended."""
        batch = await self._find(request)
        if batch.counts is None:
            raise api_error(400, f"Message Batch {batch.id} cannot be deleted while it is in progress.")
        del self.jobs[batch.id]
        batch.rows.unlink()
        batch.results.unlink()
        request[MADE] = {"deleted": batch.id}
        return web.json_response({"id": batch.id, "type": "message_batch_deleted"})

    async def get_results(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/messages/batches/{id}/results, streamed."""
        batch = await self._find(request)
        if batch.counts is None:
            message = f"Message Batch {batch.id} has no available results."
            raise api_error(404, message, {"x-should-retry": "false"})
        headers = {
            "content-type": "application/x-jsonl",
            "content-disposition": f'attachment; filename="{batch.results.name}"',
        }
        return web.FileResponse(batch.results, headers=headers, chunk_size=CHUNK)

    async def _find(self, request: web.Request) -> MessageBatch:
        """The batch in the request's path, with its results if it has ended."""
        batch_id = request.match_info["id"]
        if batch_id not in self.jobs:
            raise api_error(404, f"Message Batch {batch_id} not found.")
        batch = self.jobs[batch_id]
        await self._settle(batch)
        return batch

    async def _settle(self, batch: MessageBatch) -> None:
        scenario = self._account.scenario
        if batch.counts is None and Progress(batch, scenario, scenario.now()).has_ended:
            await self._account.make_once(batch.id, lambda: write_results(batch, scenario))

    def _describe(self, request: web.Request, batch: MessageBatch) -> dict[str, Any]:
        prefix = request.path.partition("/v1/")[0]
        url = f"{request.url.origin()}{prefix}{_BATCHES}/{batch.id}/results"
        return describe(batch, self._account.scenario, self._account.now(), url)


async def _save(request: web.Request, path: Path) -> None:
    size = 0
    with path.open("wb") as stream:
        async for chunk in request.content.iter_chunked(CHUNK):
            size += len(chunk)
            if size > _MOST_BYTES:
                # This answer comes from the proxy in front of the API, not from the API.
                text = "<html><body>413 Request Entity Too Large</body></html>"
                raise web.HTTPRequestEntityTooLarge(_MOST_BYTES, size, text=text, content_type="text/html")
            stream.write(chunk)
