"""The layer: looks at each reply of a provider, and changes it as the scenario's oddities say."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple

from aiohttp import web
from yarl import URL

from ..log import ODD
from ..oddities import Hidden, LateFiles, Listing, Odd, Passing, Wrapped
from ..turns import Turns
from .content import turn_content
from .jobs import turn_job
from .wire import Wire, get

_REDIRECT = 302


class _Age(NamedTuple):
    """How long something has been there: in seconds, and in looks at it."""

    seconds: float
    looks: int

    def is_within(self, odd: Passing) -> bool:
        return self.seconds < odd.seconds or self.looks <= odd.looks


class _Ages:
    """When something was seen first, and how often since."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], float] = {}
        self._looks: Counter[tuple[str, str]] = Counter()

    def look(self, kind: str, name: str, *, counts: bool = True) -> _Age:
        key = (kind, name)
        self._looks[key] += counts
        now = time.monotonic()
        return _Age(now - self._first.setdefault(key, now), self._looks[key])

    def names(self, kind: str) -> Iterator[str]:
        """What was seen of a kind."""
        return (name for seen, name in list(self._first) if seen == kind)


class OddReplies:
    """The odd replies of one provider.

    Args:
        wire: its wire format.
        error: the body of an error of that status.
    """

    def __init__(self, wire: Wire, error: Callable[[int], dict[str, Any]]) -> None:
        self._wire = wire
        self._error = error
        self._ages = _Ages()
        self._files: dict[str, str] = {}
        self.start(())

    def start(self, odd: Sequence[Odd]) -> None:
        """Reply with these oddities from here on; matching calls are counted from zero."""
        self._turns = Turns(odd) if odd else None

    async def turn(
        self, request: web.Request, respond: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """The answer of `respond` as it goes out; errors are never odd. A job that is hidden is not touched."""
        if self._turns is None:
            return await respond()
        due = list(self._turns.of(request))
        if request.method != "GET" and any(_is_hidden("job", self._job_age(name), due) for name in self._jobs(request)):
            request[ODD] = [str(Hidden.__struct_config__.tag)]
            return web.json_response(self._error(404), status=404)
        answer = await respond()
        if answer.status >= 400:
            return answer
        request[ODD] = [str(each.__struct_config__.tag) for each in due]
        if isinstance(answer, web.FileResponse) or answer.status == _REDIRECT:
            return await self._turn_file(request, answer, due)
        if isinstance(answer, web.Response) and answer.content_type == "application/json":
            return self._turn_json(request, answer, due)
        return answer

    def _jobs(self, request: web.Request) -> Iterator[str]:
        """The jobs that the path of a request names."""
        return (name for name in self._ages.names("job") if re.search(rf"/{re.escape(name)}(?![^/:])", request.path))

    def _job_age(self, job_id: str) -> _Age:
        return self._ages.look("job", job_id, counts=False)

    async def _turn_file(self, request: web.Request, answer: web.StreamResponse, due: list[Odd]) -> web.StreamResponse:
        name = next((name for name in self._files if name in request.path), "")
        if _is_hidden(self._files.get(name), self._ages.look("file", name), due):
            return web.json_response(self._error(404), status=404)
        if not isinstance(answer, web.FileResponse):
            return answer
        content = await content_of(answer)
        for odd in due:
            content = turn_content(content, self._wire.row_id, odd)
        return web.Response(body=content, headers=answer.headers)

    def _turn_json(self, request: web.Request, answer: web.Response, due: list[Odd]) -> web.Response:
        body: Any = json.loads(answer.body) if isinstance(answer.body, bytes) else None
        if job_id := self._wire.job_id(body):
            is_look = request.method == "GET"
            age = self._ages.look("job", job_id, counts=is_look)
            if is_look and _is_hidden("job", age, due):
                return web.json_response(self._error(404), status=404)
            self._turn_job(body, job_id, due)
            for odd in due:
                body = {odd.key: body} if isinstance(odd, Wrapped) else body
        elif isinstance(get(body, (self._wire.page,)), list):
            self._turn_page(body, due)
        answer.body = json.dumps(body).encode()
        return answer

    def _turn_page(self, body: dict[str, Any], due: list[Odd]) -> None:
        lag = max((odd.lag for odd in due if isinstance(odd, Listing)), default=0)
        body[self._wire.page] = [each for each in body[self._wire.page] if self._age_of(each) >= lag]
        for each in body[self._wire.page]:
            if job_id := self._wire.job_id(each):
                self._turn_job(each, job_id, due)
                if any(isinstance(odd, Listing) and not odd.labelled for odd in due):
                    self._wire.clear(each, self._wire.label)

    def _age_of(self, listed: Any) -> float:
        """The age of a job, from its create; of anything else, no lag is long enough."""
        job_id = self._wire.job_id(listed)
        return self._job_age(job_id).seconds if job_id else float("inf")

    def _turn_job(self, job: dict[str, Any], job_id: str, due: list[Odd]) -> None:
        self._note_files(job)
        has_ended = get(job, self._wire.status) in self._wire.ended
        age = self._ages.look("end", job_id) if has_ended else None
        for odd in due:
            if isinstance(odd, LateFiles) and age and age.is_within(odd):
                for place in self._wire.files(odd.file):
                    self._wire.clear(job, place)
            turn_job(self._wire, job, odd)

    def _note_files(self, job: dict[str, Any]) -> None:
        """Remember which file is which, and since when it is named."""
        for which in ("output", "error"):
            for place in self._wire.files(which):
                if name := get(job, place):
                    self._files[URL(name).path] = which
                    self._ages.look("file", URL(name).path, counts=False)


def _is_hidden(what: str | None, age: _Age, due: list[Odd]) -> bool:
    return any(isinstance(odd, Hidden) and odd.what == what and age.is_within(odd) for odd in due)


async def content_of(answer: web.StreamResponse) -> bytes:
    """The content of an answer that is not sent yet."""
    if isinstance(answer, web.FileResponse):
        return await asyncio.to_thread(answer._path.read_bytes)
    body = getattr(answer, "body", b"")
    return body if isinstance(body, bytes) else b""
