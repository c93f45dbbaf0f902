"""Messages as another program puts them on the wire: as Celery does, and with any part of them changed."""

import base64
import json
import uuid
from collections.abc import Mapping
from typing import Any

NO_CALLS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def headers_of(task: str, **changes: Any) -> dict[str, Any]:
    """Those that Celery 5 sends."""
    task_id = str(uuid.uuid4())
    usual: dict[str, Any] = {
        "lang": "py",
        "task": task,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "retries": 0,
    }
    usual |= {"eta": None, "expires": None, "timelimit": [None, None], "argsrepr": "", "kwargsrepr": "{}"}
    return usual | changes


def envelope(headers: Mapping[str, Any] | None, body: Any, /, **changes: Any) -> bytes:
    """What lies in a queue; a body of bytes goes in as it is."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    properties: dict[str, Any] = {
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
        "priority": 0,
        "reply_to": "",
    }
    properties |= {"delivery_info": {"exchange": "", "routing_key": "io"}}
    usual = {
        "body": base64.b64encode(raw).decode(),
        "headers": headers,
        "properties": properties,
        "content-type": "application/json",
        "content-encoding": "utf-8",
    }
    return json.dumps(usual | changes).encode()


def step(task: str = "batch_router.upload", item: Any = ("b.0", 1), **headers: Any) -> bytes:
    """The message of a step."""
    return envelope(headers_of(task, **headers), [[item], {}, NO_CALLS])


def ending(**embed: Any) -> bytes:
    """A batch by name, and the tasks that a worker sends at its end."""
    return envelope(headers_of("batch_router.submit_batch"), [["openai"], {}, NO_CALLS | embed])


def link(task: str = "batch_router.create", queue: str = "io", **changes: Any) -> dict[str, Any]:
    """A later step of a chain, or another task with other options."""
    options = {"queue": queue, "task_id": str(uuid.uuid4())}
    options |= {name: changes.pop(name) for name in ("countdown", "link") if name in changes}
    usual: dict[str, Any] = {
        "task": task,
        "args": [],
        "kwargs": {},
        "options": options,
        "subtask_type": None,
        "immutable": False,
    }
    return usual | changes


def chained(*links: Any, **embed: Any) -> bytes:
    """The message of a step with others to call after it."""
    return envelope(headers_of("batch_router.upload"), [[["b.0", 1]], {}, NO_CALLS | {"chain": links} | embed])


def submission(task_id: str, *args: Any, **kwargs: Any) -> bytes:
    """A batch by name."""
    return envelope(headers_of("batch_router.submit_batch", id=task_id), [args, kwargs, NO_CALLS])


def command(method: Any, prefix: str, **changes: Any) -> bytes:
    """Of remote control."""
    reply_to = {"exchange": f"reply.{prefix}.pidbox", "routing_key": "asker"}
    body = {"method": method, "arguments": {}, "destination": None, "ticket": "t", "reply_to": reply_to}
    return envelope({"clock": 1, "expires": 0}, body | changes)
