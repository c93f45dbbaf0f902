"""The routes of the Files API."""

from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import BodyPartReader, web

from ..account import CHUNK
from ..files import FileStore, StoredFile
from ..log import MADE
from .errors import api_error
from .pages import page

_MOST_BYTES = 200_000_000


class _Form(NamedTuple):
    """What an upload's multipart form has."""

    purpose: str
    filename: str
    size: int


class Files:
    """POST, GET and DELETE below `/files`."""

    def __init__(self, store: FileStore) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """The paths."""
        return [
            web.post("/files", self.create),
            web.get("/files", self.list_all),
            web.get("/files/{id}", self.get),
            web.delete("/files/{id}", self.delete),
            web.get("/files/{id}/content", self.get_content),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """POST /files: a multipart form, written to disk as it arrives."""
        if not request.content_type.startswith("multipart/"):
            raise api_error(400, "Expected a multipart form.")
        file_id, path = self._store.begin()
        form = await _read_form(request, path)
        _check_form(form)
        stored = self._store.add(file_id, path, form.filename, form.purpose)
        request[MADE] = {"file": file_id, "filename": form.filename}
        return web.json_response(_describe(stored))

    async def list_all(self, request: web.Request) -> web.Response:
        """GET /files."""
        purpose = request.query.get("purpose")
        found = [_describe(stored) for stored in self._store.files.values() if purpose in (None, stored.purpose)]
        return web.json_response(page(request, found[::-1], default=10_000, most=10_000))

    async def get(self, request: web.Request) -> web.Response:
        """GET /files/{id}."""
        return web.json_response(_describe(self._find(request)))

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /files/{id}."""
        stored = self._find(request)
        self._store.delete(stored.id)
        request[MADE] = {"deleted": stored.id}
        return web.json_response({"id": stored.id, "object": "file", "deleted": True})

    async def get_content(self, request: web.Request) -> web.StreamResponse:
        """GET /files/{id}/content, streamed."""
        stored = self._find(request)
        headers = {
            "content-type": "application/octet-stream",
            "content-disposition": f'attachment; filename="{stored.filename}"',
        }
        return web.FileResponse(stored.path, headers=headers, chunk_size=CHUNK)

    def _find(self, request: web.Request) -> StoredFile:
        file_id = request.match_info["id"]
        if file_id not in self._store.files:
            raise api_error(404, f"No such File object: {file_id}", param="id")
        return self._store.files[file_id]


async def _read_form(request: web.Request, path: Path) -> _Form:
    form = _Form("", "", 0)
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.name == "purpose":
            form = form._replace(purpose=await part.text())
        elif part.name == "file":
            form = form._replace(filename=part.filename or "", size=await _save(part, path))
    return form


def _check_form(form: _Form) -> None:
    if not form.filename or not form.purpose:
        raise api_error(400, "'file' and 'purpose' are required.", param="file" if form.purpose else "purpose")
    if form.purpose == "batch" and not form.filename.endswith(".jsonl"):
        raise api_error(400, "Invalid file format for Batch API. Must be .jsonl", param="file")
    if form.size > _MOST_BYTES:
        raise api_error(413, "The file is larger than 200 MB.")


async def _save(part: BodyPartReader, path: Path) -> int:
    size = 0
    with path.open("wb") as stream:
        while chunk := await part.read_chunk(CHUNK):
            stream.write(chunk)
            size += len(chunk)
    return size


def _describe(stored: StoredFile) -> dict[str, Any]:
    """The file object of the API."""
    return {
        "id": stored.id,
        "object": "file",
        "bytes": stored.path.stat().st_size,
        "created_at": stored.created_at,
        "expires_at": None,
        "filename": stored.filename,
        "purpose": stored.purpose,
        "status": "processed",
        "status_details": None,
    }
