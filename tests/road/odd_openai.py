"""A service with OpenAI's wire whose jobs end at once, in whatever way a test describes."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from batch_router.client import BatchClient
from batch_router.core import BatchStatusResponse, UnifiedResult
from batch_router.operations.submit import submit
from batch_router.road.advance import advance
from batch_router.road.context import Context
from batch_router.state.table import State
from tests.security.hostile_server import Asked, reply

# Seconds of the clock: how long a batch may take, and how far it moves at most when nothing is due.
_PATIENCE, _LONGEST_PAUSE = 10 * 86_400.0, 30.0


class Outcome(NamedTuple):
    """Attributes: `status` and `results` of a batch, and the `seconds` that it took by the store's clock."""

    status: BatchStatusResponse
    results: list[UnifiedResult]
    seconds: float


@dataclass
class OddJob:
    """Attributes: `number` of the job, from 0; its `rows`; how often it was looked at."""

    number: int
    rows: list[dict[str, Any]]
    input_file_id: str
    metadata: object
    looks: int = 0

    def done(self, **fields: Any) -> dict[str, Any]:
        """Ended as it should, but for these fields."""
        counts = {"total": len(self.rows), "completed": len(self.rows), "failed": 0}
        return {"status": "completed", "output_file_id": f"out-{self.number}", "request_counts": counts} | fields

    def refused(self, *errors: dict[str, Any]) -> dict[str, Any]:
        """Refused for these reasons."""
        return {"status": "failed", "errors": {"object": "list", "data": list(errors)}}


Describe = Callable[[OddJob], dict[str, Any]]


class OddOpenAI:
    """The service.

    Args:
        describe: what a look at a job says beyond its id.
        gone: the files and jobs that are not there, and how often they are asked for until they are.
        empty: the files that are empty, and how often they are asked for until they are not.

    Attributes:
        cancel: the HTTP status that a request to cancel gets.
        jobs: all that were created.
        cancelled: those that were asked to cancel.
        deleted: the paths of all requests to delete.
        unlisted: the jobs that a list leaves out.
    """

    def __init__(
        self,
        describe: Describe = OddJob.done,
        gone: dict[str, float] | None = None,
        empty: dict[str, float] | None = None,
    ) -> None:
        self.describe = describe
        self.gone = dict(gone or {})
        self.empty = dict(empty or {})
        self.cancel = 404
        self.jobs: list[OddJob] = []
        self.cancelled: list[str] = []
        self.deleted: list[str] = []
        self.unlisted: set[str] = set()
        self.files: dict[str, bytes] = {}

    def answer(self, asked: Asked) -> bytes:
        """See `HostileServer`."""
        path = asked.path.partition("?")[0]
        if asked.method == "DELETE":
            self.deleted.append(path)
            return _say({"id": path, "deleted": True})
        if asked.method == "POST":
            if path.endswith("/cancel"):
                self.cancelled.append(path.split("/")[-2])
                return reply(self.cancel, b'{"error":{"message":"No such route"}}', content_type="application/json")
            return self._upload(asked.body) if path == "/v1/files" else self._create(json.loads(asked.body))
        if found := re.fullmatch(r"/v1/batches/batch-(\d+)", path):
            job = self.jobs[int(found[1])]
            job.looks += 1
            return self._absent(f"batch-{job.number}") or _say(self._shown(job))
        if found := re.fullmatch(r"/v1/files/(.+)/content", path):
            return self._content(found[1])
        listed = [self._shown(job) for job in reversed(self.jobs) if f"batch-{job.number}" not in self.unlisted]
        return _say({"data": listed, "has_more": False})

    def _upload(self, body: bytes) -> bytes:
        found = re.search(rb'filename="[^"]+".*?\r\n\r\n(.*?)\r\n--', body, re.DOTALL)
        assert found
        name = f"file-{len(self.files)}"
        self.files[name] = found[1]
        return _say({"id": name, "bytes": len(found[1])})

    def _create(self, asked: dict[str, Any]) -> bytes:
        lines = self.files[asked["input_file_id"]].split(b"\n")
        rows = [json.loads(line) for line in lines if line]
        self.jobs.append(OddJob(len(self.jobs), rows, asked["input_file_id"], asked.get("metadata")))
        return _say({"id": f"batch-{len(self.jobs) - 1}", "status": "validating"})

    def _shown(self, job: OddJob) -> dict[str, Any]:
        return {"id": f"batch-{job.number}", "metadata": job.metadata} | self.describe(job)

    def _absent(self, name: str) -> bytes | None:
        if not _takes_one(self.gone, name):
            return None
        return reply(404, b'{"error":{"message":"No such file"}}', content_type="application/json")

    def _content(self, name: str) -> bytes:
        if absent := self._absent(name):
            return absent
        if _takes_one(self.empty, name):
            return reply(200, b"", content_type="application/octet-stream")
        kind, _, number = name.partition("-")
        rows = self.jobs[int(number)].rows
        write = answered if kind == "out" else rejected
        is_split = self._shown(self.jobs[int(number)]).get("error_file_id")
        wanted = rows[-1:] if kind == "err" else rows[:-1] if is_split else rows
        return reply(200, b"".join(write(row) for row in wanted), content_type="application/octet-stream")


def _takes_one(left: dict[str, float], name: str) -> bool:
    found = left.get(name, 0) > 0
    if found:
        left[name] -= 1
    return found


def answered(row: dict[str, Any]) -> bytes:
    """The line of a row that has an answer: its prompt."""
    text = row["body"]["messages"][-1]["content"]
    body = {"model": "m", "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    return _line(row, {"status_code": 200, "request_id": "r", "body": body})


def rejected(row: dict[str, Any]) -> bytes:
    """The line of a row that was refused."""
    return _line(row, {"status_code": 400, "request_id": "r", "body": {"error": {"message": "bad image"}}})


def _line(row: dict[str, Any], response: dict[str, Any]) -> bytes:
    return json.dumps({"id": "b", "custom_id": row["custom_id"], "response": response, "error": None}).encode() + b"\n"


def _say(value: dict[str, Any]) -> bytes:
    return reply(200, json.dumps(value).encode(), content_type="application/json")


class Clock:
    """The store's: it moves when nothing is due, so that an hour of looks takes no time."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def carry_through(context: Context, clock: Clock, provider: str, **options: Any) -> Outcome:
    """A batch, from its submission until nothing moves any more."""
    given: Any = {"model": "m", **options}
    return carry_on(context, clock, submit(context, provider, given).id)


def carry_on(context: Context, clock: Clock, batch_id: str, until: Callable[[], bool] = lambda: False) -> Outcome:
    """A batch that was submitted, until nothing moves any more, or something holds."""
    began, pause = clock.now, 0.0
    while not (until() or _rests(context, batch_id)):
        assert clock.now < began + _PATIENCE
        hints = context.store.take_due(100, grace=0)
        for hint in hints:
            advance(context, hint.id, hint.version)
        pause = 0.0 if hints else min(_LONGEST_PAUSE, 2 * pause + 1)
        clock.now += pause
    client = BatchClient(context)
    status = client.status(batch_id)
    results = list(client.results(batch_id, partial=True)) if status.status.is_final else []
    return Outcome(status, results, clock.now - began)


def _rests(context: Context, batch_id: str) -> bool:
    batch = context.store.get_batch(batch_id)
    assert batch is not None
    moving = [shard.state for shard in context.store.get_shards(batch) if not shard.state.is_final]
    return batch.state.is_final or (bool(moving) and set(moving) == {State.PARKED})
