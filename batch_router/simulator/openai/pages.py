"""Lists in pages, with `after` and `limit`."""

from typing import Any

from aiohttp import web

from .errors import api_error


def page(request: web.Request, found: list[dict[str, Any]], *, default: int, most: int) -> dict[str, Any]:
    """The page of `found` that the request asks for."""
    limit = int(request.query.get("limit", default))
    if not 1 <= limit <= most:
        raise api_error(400, f"limit must be between 1 and {most}.", param="limit")
    start = _start(request.query.get("after"), [each["id"] for each in found])
    shown = found[start : start + limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": start + limit < len(found),
    }


def _start(after: str | None, ids: list[str]) -> int:
    if after is None:
        return 0
    if after not in ids:
        raise api_error(400, f"No such object: {after}", param="after")
    return ids.index(after) + 1
