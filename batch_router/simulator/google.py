"""The Gemini Developer API's files and batches, as routes below `/google`."""

import asyncio
import base64
import hashlib
import itertools
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from .files import FileStore, StoredFile
from .google_jobs import GoogleJob, describe, is_done, state_of, validate, write_outputs
from .openai import MADE
from .scenario import Scenario

_MOST_BYTES = 2_000_000_000
_MOST_INLINE = 20_000_000
_CHUNK = 1 << 18
_LIFETIME = 48 * 3600
_NAME = re.compile(r"files/[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class ApiError(Exception):
    """An error as the API answers it."""

    def __init__(self, status: int, message: str, details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": _error(status, message, details)}


def _error(status: int, message: str, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": status, "message": message, "status": _STATUSES.get(status, "UNKNOWN")}
    return error | ({"details": details} if details else {})


def fault_body(status: int, retry_after: str | None) -> dict[str, Any]:
    """What is in `error` when a scenario says no; the time to wait is one of its details."""
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{retry_after}s"}
    return _error(status, "The scenario says no.", [retry] if retry_after else None)


@dataclass
class _Upload:
    """A resumable upload that is going on."""

    name: str
    path: Path
    display_name: str
    mime_type: str
    size: int


class Google:
    """One project's files and batches."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self._files = FileStore(folder)
        self._uploads: dict[str, _Upload] = {}
        self._about: dict[str, _Upload] = {}
        self._jobs: dict[str, GoogleJob] = {}
        self._numbers = itertools.count(1)
        self._making: dict[str, asyncio.Lock] = {}

    def application(self) -> web.Application:
        """The routes, for both versions of the API."""
        app = web.Application(middlewares=[self._answer_errors], client_max_size=1 << 30)
        for version in ("v1", "v1beta"):
            app.add_routes(
                [
                    web.post(f"/upload/{version}/files", self.upload),
                    web.get(f"/{version}/files", self.list_files),
                    web.get(rf"/{version}/files/{{id:[^:/]+}}", self.get_file),
                    web.delete(rf"/{version}/files/{{id:[^:/]+}}", self.delete_file),
                    web.get(rf"/{version}/files/{{id:[^:/]+}}:download", self.download),
                    web.get(rf"/download/{version}/files/{{id:[^:/]+}}:download", self.download),
                    web.post(rf"/{version}/models/{{model:[^:]+}}:batchGenerateContent", self.create_batch),
                    web.post(rf"/{version}/models/{{model:[^:]+}}:asyncBatchEmbedContent", self.create_batch),
                    web.get(f"/{version}/batches", self.list_batches),
                    web.get(rf"/{version}/batches/{{id:[^:/]+}}", self.get_batch),
                    web.delete(rf"/{version}/batches/{{id:[^:/]+}}", self.delete_batch),
                    web.post(rf"/{version}/batches/{{id:[^:/]+}}:cancel", self.cancel_batch),
                ]
            )
        return app

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            if "upload_id" not in request.query:  # the address of an upload is its own key
                self._check_key(request)
            answer: web.StreamResponse = await handler(request)
        except ApiError as error:
            answer = web.json_response(error.body, status=error.status)
        return answer

    def _check_key(self, request: web.Request) -> None:
        key = request.headers.get("x-goog-api-key")
        if not key:
            raise ApiError(403, "Method doesn't allow unregistered callers. Please use API Key.")
        if self.scenario.keys and key not in self.scenario.keys:
            info = {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            }
            raise ApiError(400, "API key not valid. Please pass a valid API key.", [info])

    # --- files ------------------------------------------------------------------------------------------------------

    async def upload(self, request: web.Request) -> web.Response:
        """POST /upload/V/files: the start of a resumable upload, or one of its pieces."""
        if "start" in request.headers.get("x-goog-upload-command", ""):
            return await self._start_upload(request)
        upload_id = request.query.get("upload_id", "")
        if upload_id not in self._uploads:
            raise ApiError(404, "There is no such upload.")
        upload = self._uploads[upload_id]
        if int(request.headers.get("x-goog-upload-offset", -1)) != upload.path.stat().st_size:
            raise ApiError(400, "The offset is not where the upload stands.")
        with upload.path.open("ab") as stream:
            async for chunk in request.content.iter_chunked(_CHUNK):
                stream.write(chunk)
        if "finalize" not in request.headers["x-goog-upload-command"]:
            return web.Response(headers={"x-goog-upload-status": "active"})
        if upload.path.stat().st_size != upload.size:
            raise ApiError(400, "The upload has another size than was announced.")
        del self._uploads[upload_id]
        self._about[upload.name] = upload
        stored = self._files.add(upload.name, upload.path, upload.display_name, "UPLOADED")
        request[MADE] = {"file": upload.name, "filename": upload.display_name}
        return web.json_response({"file": await self._describe(stored)}, headers={"x-goog-upload-status": "final"})

    async def _start_upload(self, request: web.Request) -> web.Response:
        file = (await request.json()).get("file") or {}
        number, path = self._files.begin()
        name = file.get("name") or f"files/{number.removeprefix('file-')}"
        size = int(request.headers.get("x-goog-upload-header-content-length", 0))
        if not _NAME.fullmatch(name):
            raise ApiError(400, "A name has at most 40 lowercase letters, digits and dashes.")
        if name in self._files.files:
            raise ApiError(409, f"The file {name} already exists.")
        if size > _MOST_BYTES:
            raise ApiError(400, "The file is larger than 2 GB.")
        path.touch()
        display_name = file.get("displayName") or file.get("display_name") or ""
        mime_type = request.headers.get("x-goog-upload-header-content-type", "application/octet-stream")
        self._uploads[number] = _Upload(name, path, display_name, mime_type, size)
        url = request.url.with_query(upload_id=number, upload_protocol="resumable")
        return web.json_response({}, headers={"x-goog-upload-url": str(url), "x-goog-upload-status": "active"})

    async def list_files(self, request: web.Request) -> web.Response:
        """GET /V/files."""
        found = [await self._describe(stored) for stored in reversed(self._files.files.values())]
        return web.json_response(_page(request, "files", found))

    async def get_file(self, request: web.Request) -> web.Response:
        """GET /V/files/{id}."""
        return web.json_response(await self._describe(self._file(request)))

    async def delete_file(self, request: web.Request) -> web.Response:
        """DELETE /V/files/{id}."""
        stored = self._file(request)
        self._files.delete(stored.id)
        request[MADE] = {"deleted": stored.id}
        return web.json_response({})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """GET /V/files/{id}:download, streamed; what was uploaded cannot be had back."""
        stored = self._file(request)
        if stored.purpose != "GENERATED":
            raise ApiError(400, "Only generated files can be downloaded.")
        return web.FileResponse(stored.path, headers={"content-type": "application/jsonl"}, chunk_size=_CHUNK)

    async def _describe(self, stored: StoredFile) -> dict[str, Any]:
        about = self._about.get(stored.id)
        created = _time(stored.created_at)
        uri = f"https://generativelanguage.googleapis.com/v1beta/{stored.id}"
        described = {
            "name": stored.id,
            **({"displayName": about.display_name} if about and about.display_name else {}),
            "mimeType": about.mime_type if about else "application/jsonl",
            "sizeBytes": str(stored.path.stat().st_size),
            "createTime": created,
            "updateTime": created,
            "expirationTime": _time(stored.created_at + _LIFETIME),
            "sha256Hash": await asyncio.to_thread(_sha256, stored.path),
            "uri": uri,
            "state": "ACTIVE",
            "source": stored.purpose,
        }
        return described | ({"downloadUri": f"{uri}:download?alt=media"} if stored.purpose == "GENERATED" else {})

    # --- batches ----------------------------------------------------------------------------------------------------

    async def create_batch(self, request: web.Request) -> web.Response:
        """POST /V/models/{model}:batchGenerateContent or :asyncBatchEmbedContent."""
        body = (await request.json()).get("batch")
        if not isinstance(body, dict):
            raise ApiError(400, "'batch' is required.")
        config = body.get("inputConfig") or body.get("input_config") or {}
        file_name = config.get("fileName") or config.get("file_name")
        inline = (config.get("requests") or {}).get("requests")
        if (file_name is None) == (inline is None):
            raise ApiError(400, "Exactly one of file_name and requests must be given.")
        if file_name is not None and file_name not in self._files.files:
            raise ApiError(404, f"The file {file_name} does not exist.")
        job = GoogleJob(
            name=f"batches/{next(self._numbers):06d}sim",
            model=f"models/{request.match_info['model']}",
            display_name=body.get("displayName") or body.get("display_name") or "",
            rows=self._files.files[file_name].path if file_name else self._save_inline(inline),
            input={"fileName": file_name} if file_name else None,
            embeds=request.path.endswith(":asyncBatchEmbedContent"),
            created_at=time.time(),
        )
        await asyncio.to_thread(validate, job, self.scenario)
        self._jobs[job.name] = job
        request[MADE] = {"job": job.name, "metadata": {"displayName": job.display_name}, "rows": len(job.offsets)}
        # However fast it is, the answer to create says PENDING.
        return web.json_response(describe(job, self.scenario, job.created_at - 1))

    def _save_inline(self, requests: Any) -> Path:
        _, path = self._files.begin()
        rows = [{"key": (each.get("metadata") or {}).get("key"), "request": each.get("request")} for each in requests]
        content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        if len(content) > _MOST_INLINE:
            raise ApiError(400, "Request payload size exceeds the limit: 20971520 bytes.")
        path.write_bytes(content)
        return path

    async def list_batches(self, request: web.Request) -> web.Response:
        """GET /V/batches, newest first, without inlined responses."""
        now = time.time()
        found = [describe(job, self.scenario, now, with_inlined=False) for job in reversed(self._jobs.values())]
        return web.json_response(_page(request, "operations", found))

    async def get_batch(self, request: web.Request) -> web.Response:
        """GET /V/batches/{id}."""
        job = self._job(request)
        if job.counts is None:
            async with self._making.setdefault(job.name, asyncio.Lock()):
                await asyncio.to_thread(write_outputs, job, self._files, self.scenario)
        return web.json_response(describe(job, self.scenario, time.time()))

    async def cancel_batch(self, request: web.Request) -> web.Response:
        """POST /V/batches/{id}:cancel."""
        job = self._job(request)
        now = time.time()
        if is_done(state_of(job, self.scenario, now)):
            raise ApiError(400, "The batch has ended and cannot be cancelled.")
        job.cancelled_at = job.cancelled_at or now
        return web.json_response({})

    async def delete_batch(self, request: web.Request) -> web.Response:
        """DELETE /V/batches/{id}."""
        job = self._job(request)
        del self._jobs[job.name]
        request[MADE] = {"deleted": job.name}
        return web.json_response({})

    def _file(self, request: web.Request) -> StoredFile:
        name = f"files/{request.match_info['id']}"
        if name not in self._files.files:
            raise ApiError(403, f"You do not have permission to access the File {name} or it may not exist.")
        return self._files.files[name]

    def _job(self, request: web.Request) -> GoogleJob:
        name = f"batches/{request.match_info['id']}"
        if name not in self._jobs:
            raise ApiError(404, "Requested entity was not found.")
        return self._jobs[name]


def _page(request: web.Request, field: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    size = int(request.query.get("pageSize", 50))
    start = int(request.query.get("pageToken") or 0)
    page: dict[str, Any] = {field: found[start : start + size]} if found else {}
    return page | ({"nextPageToken": str(start + size)} if start + size < len(found) else {})


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return base64.b64encode(digest.hexdigest().encode()).decode()


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(at))
