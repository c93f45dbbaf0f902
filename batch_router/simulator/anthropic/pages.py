"""Lists in pages, with `after_id`, `before_id` and `limit`."""

from typing import Any

from aiohttp import web

from .errors import api_error


def page(request: web.Request, found: list[dict[str, Any]]) -> dict[str, Any]:
    """The page of `found` that the request asks for."""
    limit = int(request.query.get("limit", 20))
    if not 1 <= limit <= 1000:
        raise api_error(400, "limit: Input should be between 1 and 1000")
    ids = [each["id"] for each in found]
    after, before = (_place(ids, request.query.get(name)) for name in ("after_id", "before_id"))
    if before is not None:
        start, end = max(0, before - limit), before
        has_more = start > 0
    else:
        start = 0 if after is None else after + 1
        end = min(start + limit, len(found))
        has_more = end < len(found)
    return {
        "data": found[start:end],
        "has_more": has_more,
        "first_id": ids[start] if start < end else None,
        "last_id": ids[end - 1] if start < end else None,
    }


def _place(ids: list[str], cursor: str | None) -> int | None:
    if cursor is not None and cursor not in ids:
        raise api_error(400, f"There is no Message Batch {cursor}.")
    return ids.index(cursor) if cursor is not None else None
