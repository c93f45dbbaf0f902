"""Faults on the way: which request meets one, and what becomes of its answer."""

import asyncio
import itertools
from collections.abc import Mapping
from email.utils import formatdate

from aiohttp import web
from aiohttp.typedefs import Handler

from .account import Account
from .log import RequestLog
from .odd.replies import content_of
from .scenario import Fault, Scenario
from .turns import PATH, Turns

#: The path of the bill, which is beside the providers: it meets no fault, and is not logged.
BILL = "/bill"
#: The status in the log of a request whose connection was cut.
_CUT = 499
_PAGE = "<html><body>Bad gateway</body></html>"


class Faults:
    """The middleware around all providers: applies the scenario's faults and logs every request.

    Args:
        accounts: by the prefix of their paths.
    """

    def __init__(self, scenario: Scenario, accounts: Mapping[str, Account], log: RequestLog) -> None:
        self._accounts = accounts
        self._log = log
        self._ids = itertools.count(1)
        self.start(scenario)

    def start(self, scenario: Scenario) -> None:
        """Apply this scenario's faults from here on; matching requests are counted from zero."""
        self._turns = Turns(scenario.faults)
        self._now = scenario.now

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer one request, with its fault if it meets one."""
        if request.path == BILL:
            return await handler(request)
        request_id = f"req_{next(self._ids):08d}"
        request[PATH] = request.path.removeprefix(self._prefix(request))
        fault = next(self._turns.of(request), None)
        answer = await (self._with_fault(request, handler, fault) if fault else handler(request))
        self._log.write(request, answer.status, fault.do if fault else None)
        if not answer.prepared:
            answer.headers["x-request-id"] = request_id
            answer.headers["date"] = formatdate(self._now(), usegmt=True)
        return answer

    def _prefix(self, request: web.Request) -> str:
        return next((prefix for prefix in self._accounts if request.path.startswith(prefix)), "")

    async def _with_fault(self, request: web.Request, handler: Handler, fault: Fault) -> web.StreamResponse:
        match fault.do:
            case "status":
                return self._error(request, fault)
            case "status_after":
                await handler(request)
                return web.Response(text=_PAGE, content_type="text/html", status=fault.status)
            case "html":
                return web.Response(text=_PAGE, content_type="text/html")
            case "delay":
                await asyncio.sleep(fault.seconds)
                return await handler(request)
            case "reset_before":
                return _cut(request)
            case "reset_after":
                await handler(request)
                return _cut(request)
            case "truncate":
                return await _truncate(request, await handler(request), fault.bytes)
            case "drip":
                return await _drip(request, await handler(request), fault)

    def _error(self, request: web.Request, fault: Fault) -> web.Response:
        account = self._accounts.get(self._prefix(request))
        body = account.fault_body(fault) if account else {}
        headers = {"retry-after": fault.retry_after} if fault.retry_after else {}
        return web.json_response(body, status=fault.status, headers=headers)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=_CUT)


async def _truncate(request: web.Request, answer: web.StreamResponse, length: int) -> web.StreamResponse:
    """Announce the whole answer, send its beginning, and cut the connection."""
    content = await content_of(answer)
    short = web.StreamResponse(status=200, headers={"content-length": str(len(content))})
    await short.prepare(request)
    await short.write(content[:length])
    _cut(request)
    return short


async def _drip(request: web.Request, answer: web.StreamResponse, fault: Fault) -> web.StreamResponse:
    """Send the whole answer slowly."""
    content = await content_of(answer)
    slow = web.StreamResponse(status=answer.status, headers={"content-length": str(len(content))})
    slow.content_type = answer.content_type
    await slow.prepare(request)
    for start in range(0, len(content), fault.bytes):
        await asyncio.sleep(fault.seconds)
        await slow.write(content[start : start + fault.bytes])
    return slow
