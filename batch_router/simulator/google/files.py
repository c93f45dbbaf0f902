"""The routes of the files: resumable uploads, lists, downloads."""

import asyncio
import base64
import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from ..account import CHUNK
from ..files import FileStore, StoredFile
from ..keys import KEY, Mine
from ..log import MADE
from .errors import api_error
from .pages import page

_MOST_BYTES = 2_000_000_000
_LIFETIME = 48 * 3600
_NAME = re.compile(r"files/[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


@dataclass
class _Upload:
    """A resumable upload, and later what is known of the uploaded file."""

    name: str
    path: Path
    display_name: str
    mime_type: str
    size: int
    key: str


class Files:
    """POST, GET and DELETE below `/V/files`, `/upload/V/files` and `/download/V/files`."""

    def __init__(self, store: FileStore, folder: Path) -> None:
        self._store = store
        self._uploads: dict[str, _Upload] = {}
        self.uploaded = Mine(_Upload, folder / "uploaded.json")

    def routes(self, version: str) -> list[web.RouteDef]:
        """The paths of a version of the API."""
        file = rf"/{version}/files/{{id:[^:/]+}}"
        return [
            web.post(f"/upload/{version}/files", self.upload),
            web.get(f"/{version}/files", self.list_all),
            web.get(file, self.get),
            web.delete(file, self.delete),
            web.get(f"{file}:download", self.redirect),
            web.get(f"/download{file}:download", self.download),
        ]

    async def upload(self, request: web.Request) -> web.Response:
        """POST /upload/V/files: the start of a resumable upload, or one of its pieces."""
        if "start" in request.headers.get("x-goog-upload-command", ""):
            return await self._start(request)
        upload_id = request.query.get("upload_id", "")
        if upload_id not in self._uploads:
            raise api_error(404, "There is no such upload.")
        upload = self._uploads[upload_id]
        await _append(request, upload)
        if "finalize" not in request.headers["x-goog-upload-command"]:
            return web.Response(headers={"x-goog-upload-status": "active"})
        if upload.path.stat().st_size != upload.size:
            raise api_error(400, "The upload has another size than was announced.")
        del self._uploads[upload_id]
        return await self._finalize(request, upload)

    async def _start(self, request: web.Request) -> web.Response:
        file = (await request.json()).get("file") or {}
        number, path = self._store.begin()
        name = file.get("name") or f"files/{number.removeprefix('file-')}"
        size = int(request.headers.get("x-goog-upload-header-content-length", 0))
        self._check_new(name, size)
        path.touch()
        display_name = file.get("displayName") or file.get("display_name") or ""
        mime_type = request.headers.get("x-goog-upload-header-content-type", "application/octet-stream")
        self._uploads[number] = _Upload(name, path, display_name, mime_type, size, KEY.get())
        url = request.url.with_query(upload_id=number, upload_protocol="resumable")
        return web.json_response({}, headers={"x-goog-upload-url": str(url), "x-goog-upload-status": "active"})

    def _check_new(self, name: str, size: int) -> None:
        if not _NAME.fullmatch(name):
            raise api_error(400, "A name has at most 40 lowercase letters, digits and dashes.")
        if name in self._store.files:
            raise api_error(409, f"The file {name} already exists.")
        if size > _MOST_BYTES:
            raise api_error(400, "The file is larger than 2 GB.")

    async def _finalize(self, request: web.Request, upload: _Upload) -> web.Response:
        KEY.set(upload.key)  # the URL of an upload needs no key
        self.uploaded[upload.name] = upload
        stored = self._store.add(upload.name, upload.path, upload.display_name, "UPLOADED")
        request[MADE] = {"file": upload.name, "filename": upload.display_name}
        return web.json_response({"file": await self._describe(stored)}, headers={"x-goog-upload-status": "final"})

    async def list_all(self, request: web.Request) -> web.Response:
        """GET /V/files, newest first."""
        found = [await self._describe(stored) for stored in self._store.files.newest_first()]
        return web.json_response(page(request, "files", found))

    async def get(self, request: web.Request) -> web.Response:
        """GET /V/files/{id}."""
        return web.json_response(await self._describe(self._find(request)))

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /V/files/{id}."""
        stored = self._find(request)
        self._store.delete(stored.id)
        request[MADE] = {"deleted": stored.id}
        return web.json_response({})

    async def redirect(self, request: web.Request) -> web.Response:
        """GET /V/files/{id}:download: as at the service, the file is at the address for downloads."""
        self._find_generated(request)
        prefix, _, path = str(request.url).partition("/v1")
        return web.Response(status=302, headers={"location": f"{prefix}/download/v1{path}"})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """GET /download/V/files/{id}:download, streamed."""
        stored = self._find_generated(request)
        return web.FileResponse(stored.path, headers={"content-type": "application/jsonl"}, chunk_size=CHUNK)

    async def _describe(self, stored: StoredFile) -> dict[str, Any]:
        upload = self.uploaded.get(stored.id)
        created = _time(stored.created_at)
        uri = f"https://generativelanguage.googleapis.com/v1beta/{stored.id}"
        return {
            "name": stored.id,
            **({"displayName": upload.display_name} if upload and upload.display_name else {}),
            "mimeType": upload.mime_type if upload else "application/jsonl",
            "sizeBytes": str(stored.path.stat().st_size),
            "createTime": created,
            "updateTime": created,
            "expirationTime": _time(stored.created_at + _LIFETIME),
            "sha256Hash": await asyncio.to_thread(_sha256, stored.path),
            "uri": uri,
            "state": "ACTIVE",
            "source": stored.purpose,
            **({"downloadUri": f"{uri}:download?alt=media"} if stored.purpose == "GENERATED" else {}),
        }

    def _find_generated(self, request: web.Request) -> StoredFile:
        """The file in the request's path; uploaded files cannot be downloaded."""
        stored = self._find(request)
        if stored.purpose != "GENERATED":
            raise api_error(400, "Only generated files can be downloaded.")
        return stored

    def _find(self, request: web.Request) -> StoredFile:
        name = f"files/{request.match_info['id']}"
        if name not in self._store.files:
            raise api_error(403, f"You do not have permission to access the File {name} or it may not exist.")
        return self._store.files[name]


async def _append(request: web.Request, upload: _Upload) -> None:
    if int(request.headers.get("x-goog-upload-offset", -1)) != upload.path.stat().st_size:
        raise api_error(400, "The offset is not where the upload stands.")
    with upload.path.open("ab") as stream:
        async for chunk in request.content.iter_chunked(CHUNK):
            stream.write(chunk)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return base64.b64encode(digest.hexdigest().encode()).decode()


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(at))
