"""Lists in pages, with `pageSize` and `pageToken`."""

from typing import Any

from aiohttp import web


def page(request: web.Request, field: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """The page of `found` that the request asks for; an empty list is left out."""
    size = int(request.query.get("pageSize", 50))
    start = int(request.query.get("pageToken") or 0)
    shown: dict[str, Any] = {field: found[start : start + size]} if found else {}
    return shown | ({"nextPageToken": str(start + size)} if start + size < len(found) else {})
