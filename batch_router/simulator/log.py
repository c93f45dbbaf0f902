"""The log of requests: what came in and what was answered, with ids and labels but no keys and no prompts."""

import json
import time
from pathlib import Path
from typing import Any

from aiohttp import web

#: What a request created or deleted; the routes set it, the log shows it.
MADE = web.RequestKey("made", dict[str, Any])
#: The kinds of oddities that a reply was looked at for.
ODD = web.RequestKey("odd", list[str])


class RequestLog:
    """One JSON object per request, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, request: web.Request, status: int, fault: str | None) -> None:
        """Append a request, the status of its answer, and the fault that it met."""
        entry = {"at": time.time(), "method": request.method, "path": request.path, "status": status}
        entry |= {"fault": fault} if fault else {}
        entry |= {"odd": kinds} if (kinds := request.get(ODD)) else {}
        with self._path.open("a") as log:
            log.write(json.dumps(entry | request.get(MADE, {})) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All requests so far."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_bytes().split(b"\n") if line]
