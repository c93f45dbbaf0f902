"""Faults by name: what providers and networks do on a bad day. Each is a batch that goes through one."""

import re
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import NamedTuple

from batch_router.simulator import Scenario
from batch_router.simulator.oddities import (
    AnyOdd,
    Bom,
    Elsewhere,
    EmptyIds,
    Foreign,
    Hidden,
    LateFiles,
    Listing,
    Miscounted,
    Numbers,
    Words,
    Wrapped,
)
from batch_router.simulator.scenario import Fault, Latency, Refusal

from .commands import submit, wait_for_end
from .courses import CREATE, GET_JOB, SHARDS, UPLOAD, Course
from .drill import Outcome
from .invariants import check, left_behind, remote_objects
from .stack import DAY, HTTP_TIMEOUT, Stack, requests_of

_REMOTE = ("openai", "anthropic", "google")
_GET_ANSWERS = r"GET /(files/[^/]+/content|v1/messages/batches/[^/]+/results|download/.*:download)"
_LOST_CREATE = Fault(match=CREATE, do="reset_after")
_EVERYWHERE = (UPLOAD, CREATE, GET_JOB, _GET_ANSWERS)
_WAIT = 6.0


class Named(NamedTuple):
    """A fault.

    Attributes:
        quiet: the path (a regular expression) that must not be called again before the wait it asked for is over.
        jobs_fail: whether the provider fails the first job of each shard, which costs nothing.
    """

    fault: str
    provider: str
    course: Callable[[], Course]
    quiet: str | None = None
    jobs_fail: bool = False

    def __str__(self) -> str:
        return f"{self.fault}, {self.provider}"


def _day(*faults: Fault, **more: object) -> Callable[[], Course]:
    day = Scenario(latency=DAY.latency, faults=faults)
    return lambda: Course(day=day, deadline=150, **more)  # type: ignore[arg-type]


def _odd(*odd: AnyOdd, faults: tuple[Fault, ...] = ()) -> Callable[[], Course]:
    return lambda: Course(day=Scenario(latency=DAY.latency, odd=odd, faults=faults), deadline=150)


def _everywhere(do: str, **more: object) -> Callable[[], Course]:
    return _day(*(Fault(match=match, do=do, **more) for match in _EVERYWHERE))  # type: ignore[arg-type]


def _row_fault(counts: dict[str, int], state: str = "completed", **more: object) -> Callable[[], Course]:
    day = Scenario(latency=DAY.latency, **more)  # type: ignore[arg-type]
    return lambda: Course(day=day, statuses=frozenset(counts), counts=counts, state=state, deadline=120)


def _refused(path: str, retry_after: Callable[[], str]) -> Callable[[], Course]:
    """One shard, and an endpoint that asks for a wait; what it says is made when the drill begins."""
    return lambda: Course(
        day=Scenario(
            latency=DAY.latency, faults=(Fault(match=path, do="status", status=429, retry_after=retry_after()),)
        ),
        rows=3,
        deadline=60,
    )


def _queue_is_full(stack: Stack, batch_id: str) -> None:
    """Until each shard has been told that there is no room."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        batch = stack.store.get_batch(batch_id)
        shards = stack.store.get_shards(batch) if batch else []
        if shards and all(shard.queue_waits for shard in shards):
            break
        time.sleep(0.1)
    stack.turn(DAY)


#: Statuses in words that no description has, and shouted.
_WORDS = {
    "openai": {"in_progress": "warming_up", "completed": "COMPLETED"},
    "anthropic": {"in_progress": "warming_up", "ended": "ENDED"},
    "google": {"BATCH_STATE_RUNNING": "BATCH_STATE_WARMING_UP", "BATCH_STATE_SUCCEEDED": "JOB_STATE_SUCCEEDED"},
}

_ODD_DAYS: tuple[Named, ...] = (
    *(Named("answers named late", name, _odd(LateFiles(seconds=2, looks=2))) for name in _REMOTE),
    *(Named("counts and dates of other types", name, _odd(Numbers(counts="float", dates="text"))) for name in _REMOTE),
    *(Named("statuses in other words", name, _odd(Words(words=words))) for name, words in _WORDS.items()),
    *(Named("jobs wrapped", name, _odd(Wrapped(key="job"))) for name in _REMOTE),
    *(Named("answers hidden for a while", name, _odd(Hidden(what="output", looks=2))) for name in _REMOTE),
    *(Named("a mark before the answers", name, _odd(Bom())) for name in _REMOTE),
    *(Named("rows of others", name, _odd(Foreign(rows=1, unnamed=1, doubled=1))) for name in _REMOTE),
    *(Named("counts miss the rows", name, _odd(Miscounted(succeeded=-1, failed=1))) for name in _REMOTE),
    *(
        Named("answer to create lost, list lags", name, _odd(Listing(lag=2), faults=(_LOST_CREATE,)))
        for name in _REMOTE
    ),
    Named("empty ids", "openai", _odd(EmptyIds())),
    Named("answers elsewhere", "anthropic", _odd(Elsewhere())),
)

NAMED: tuple[Named, ...] = (
    *_ODD_DAYS,
    *(Named("answer to create lost", name, _day(Fault(match=CREATE, do="reset_after", times=3))) for name in _REMOTE),
    *(
        Named(f"429 on {what}, {word}", "openai", _refused(path, text), quiet=path)
        for what, path in (("upload", UPLOAD), ("create", CREATE), ("poll", GET_JOB))
        for word, text in (
            ("seconds", lambda: f"{_WAIT:.0f}"),
            ("date", lambda: formatdate(time.time() + _WAIT + 3, usegmt=True)),
            ("nonsense", lambda: "soon"),
        )
    ),
    Named("429 on create, seconds", "anthropic", _refused(CREATE, lambda: f"{_WAIT:.0f}"), quiet=CREATE),
    Named("429 on create, seconds", "google", _refused(CREATE, lambda: f"{_WAIT:.0f}"), quiet=CREATE),
    *(Named("500 everywhere", name, _everywhere("status", status=500, times=3)) for name in _REMOTE),
    *(Named("HTML everywhere", name, _everywhere("html")) for name in _REMOTE),
    *(Named("reset everywhere", name, _everywhere("reset_before", times=2)) for name in _REMOTE),
    *(Named("download cut", name, _day(Fault(match=_GET_ANSWERS, do="truncate", times=3))) for name in _REMOTE),
    *(Named("slow answers", name, _everywhere("delay", seconds=HTTP_TIMEOUT + 3, times=2)) for name in _REMOTE),
    *(Named("answers drip", name, _everywhere("drip", bytes=200, seconds=0.5, times=3)) for name in _REMOTE),
    *(Named("all rows failed", name, _row_fault({"errored": 8}, refuse=(Refusal(),))) for name in _REMOTE),
    *(Named("rows repeated", name, _row_fault({"succeeded": 8}, repeat=".")) for name in _REMOTE),
    *(Named("rows dropped", name, _row_fault({"succeeded": 6, "errored": 2}, drop="number [14]")) for name in _REMOTE),
    *(
        Named("job expired", name, _row_fault({"succeeded": 3, "expired": 5}, "expired", expire_after=0.5))
        for name in ("openai", "anthropic")
    ),
    Named("job expired", "google", _row_fault({"expired": 8}, "expired", expire_after=0.5)),  # it keeps no answers then
    Named(
        "no room for the job's tokens",
        "openai",
        lambda: Course(
            day=Scenario(latency=Latency(), fail_job="token_limit_exceeded"), during=_queue_is_full, deadline=150
        ),
        jobs_fail=True,
    ),
)


def run_named(stack: Stack, named: Named) -> list[Outcome]:
    """A batch goes through the fault."""
    course = named.course()
    stack.turn(course.day)
    there = remote_objects(stack)
    batch_id = stack.new_id(named.provider)
    since = len(requests_of(stack))
    submit(stack, course, named.provider, batch_id)
    wait_for_end(stack, batch_id, course.deadline)
    findings = check(stack, batch_id, course).plus(*left_behind(stack, there, [batch_id]))
    if named.jobs_fail:
        findings = findings._replace(created_twice=findings.created_twice - SHARDS)
    came = {name for request in requests_of(stack)[since:] for name in ("fault", "odd") if name in request}
    if not named.jobs_fail and ((course.day.faults and "fault" not in came) or (course.day.odd and "odd" not in came)):
        findings = findings.plus("the fault never came")
    if named.quiet is not None:
        findings = findings.plus(*_early_calls(stack, since, named, course.day.faults[0]))
    return [Outcome(named.fault, str(named), findings)]


def _early_calls(stack: Stack, since: int, named: Named, fault: Fault) -> list[str]:
    """Calls of the endpoint before the end of the wait that it asked for."""
    calls = [request for request in requests_of(stack)[since:] if _matches(request, fault.match)]
    refused, again = calls[0]["at"], calls[1]["at"]
    wait = _WAIT if named.fault.endswith(("seconds", "date")) else 0
    return [f"called again after {again - refused:.1f} s"] if again - refused < wait else []


def _matches(request: dict[str, object], match: str) -> bool:
    method, _, pattern = match.partition(" ")
    path = re.sub(r"^/(openai/v1|anthropic|google)", "", str(request["path"]))
    return request["method"] == method and re.fullmatch(pattern, path) is not None
