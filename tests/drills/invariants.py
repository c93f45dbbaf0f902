"""What must hold after every drill, seen from outside: the results, the providers' own records, Redis, the logs."""

import json
import re
import urllib.request
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from batch_router.state.items import Batch, Shard
from batch_router.state.ledger import adds_up
from batch_router.state.table import State

from ..receiver import HOOK, NEW
from .bill import paid_twice, spent_otherwise, unanswered
from .courses import Course, rows_of
from .linked import wrongly_told
from .stack import KEY, PROMPT, Stack, requests_of

_LISTS = {
    "openai": ("/openai/v1/files", "data", "id"),
    "anthropic": ("/anthropic/v1/messages/batches?limit=1000", "data", "id"),
    "google files": ("/google/v1beta/files?pageSize=10000", "files", "name"),
    "google jobs": ("/google/v1beta/batches?pageSize=10000", "operations", "name"),
}
_JOBS = "/openai/v1/batches"
_ROOM = ("tokens", "jobs")
_HEADERS = {"authorization": f"Bearer {KEY}", "x-goog-api-key": KEY, "anthropic-version": "2023-06-01"}
_CANCEL = re.compile(r"/batches/([^/:]+)[/:]cancel$")


class Findings(NamedTuple):
    """What was found after a drill.

    Attributes:
        lost: rows without the result that they should have.
        duplicated: rows with more than one.
        created_twice: jobs beyond the first of their shard.
        paid_twice: rows on the providers' bill beyond the first time, but for those of jobs that count as undone.
        undone: jobs beyond the first that their makers cancelled, as soon as they found out; or, if they died at that,
            that `doctor --orphans` named.
        parked: 1 if shards wait for the operator.
        problems: whatever else is wrong, in words.
    """

    lost: int = 0
    duplicated: int = 0
    created_twice: int = 0
    paid_twice: int = 0
    undone: int = 0
    parked: int = 0
    problems: tuple[str, ...] = ()

    def in_words(self) -> list[str]:
        """All that is not as it should be."""
        return [f"{name} {getattr(self, name)}" for name in self._fields[:-1] if getattr(self, name)] + [*self.problems]

    def plus(self, *problems: str) -> "Findings":
        return self._replace(problems=self.problems + problems)

    def struck(self, fired: object | None) -> "Findings":
        """The same; something is wrong where a strike never came."""
        return self if fired else self.plus("the effect was never reached")

    def also(self, other: "Findings") -> "Findings":
        """Both together."""
        return Findings(**{name: getattr(self, name) + getattr(other, name) for name in self._fields})


def check(stack: Stack, batch_id: str, course: Course) -> Findings:
    """All that must hold for one batch that should have ended by now, or waits for the operator."""
    batch = stack.store.get_batch(batch_id)
    if batch is None:
        return Findings(lost=course.rows, problems=("the batch is not known",))
    shards = stack.store.get_shards(batch)
    twice, undone = jobs_beyond_the_first(stack, shards)
    found = Findings(
        created_twice=twice,
        paid_twice=paid_twice(stack, batch_id, undone),
        undone=len(undone),
        parked=int(any(shard.state is State.PARKED for shard in shards)),
    )
    if not batch.state.is_final:
        waiting = [shard for shard in shards if not shard.state.is_final]
        if waiting and all(shard.state is State.PARKED for shard in waiting):
            return found
        where = ", ".join(f"{shard.id} {shard.state} ({shard.error})" for shard in waiting)
        return found._replace(lost=course.rows, problems=(f"not finished: {batch.state}; {where}",))
    problems = [f"ended as {batch.state}"] if batch.state != course.state else []
    problems += wrongly_told(stack, batch) if course.linked else []
    if batch.provider != "vllm" and not course.day.drop and not any(shard.unfetched for shard in shards):
        problems += spent_otherwise(stack, batch_id, shards)
    problems += _still_booked(stack, shards)
    lost, duplicated, wrong = _check_results(stack, batch, course)
    return found._replace(lost=lost, duplicated=duplicated, problems=(*problems, *wrong))


def _still_booked(stack: Stack, shards: list[Shard]) -> list[str]:
    """Room that shards take which have ended, and lines of the ledger that are not the sum of what all shards take."""
    took = {line for shard in shards for line in shard.booked if not adds_up(line)}
    problems = [f"still booked: {sorted(took)}"] if took else []
    account = stack.store.get_lines(
        sorted({f"{of}:{shard.provider}:{shard.model}" for shard in shards for of in _ROOM})
    )
    if all(batch.state.is_final for batch in stack.store.iter_batches()):
        problems += [f"nothing runs, and {line.booked} are booked in {line.name}" for line in account if line.booked]
    return problems


def _check_results(stack: Stack, batch: Batch, course: Course) -> tuple[int, int, list[str]]:
    """Each row once, in input order, answered as it should be; the books say the same."""
    if course.broken:
        report = f"no report, or parts: {batch.report}"
        return 0, 0, [] if batch.report and not stack.client.manifest(batch.id).parts else [report]
    asked = [str(row["custom_id"]) for row in rows_of(course, batch.id)]
    results = list(stack.client.results(batch.id))
    came = Counter(result.custom_id for result in results)
    lost = sum(came[custom_id] == 0 for custom_id in asked)
    lost += sum(result.status.value not in course.statuses for result in results)
    problems = [f"{result.custom_id}: {result.error}" for result in results if result.status not in course.statuses]
    if [result.custom_id for result in results if result.custom_id in asked] != sorted(asked):
        problems.append("not in input order")
    if unasked := came.keys() - set(asked):
        problems.append(f"answers to no request: {sorted(unasked)}")
    for custom_id in unanswered(stack, batch.id, course, results):
        lost += 1
        problems.append(f"paid and not delivered: {custom_id}")
    if course.counts is not None and Counter(result.status.value for result in results) != course.counts:
        lost += 1
        problems.append(f"other answers than there must be: {course.counts}")
    counts = stack.client.manifest(batch.id).request_counts.to_dict()
    if counts.pop("total") != len(asked) or {name: n for name, n in counts.items() if n} != Counter(
        result.status.value for result in results
    ):
        problems.append(f"the books do not balance: {counts}")
    return lost, sum(came.values()) - len(came), problems


def jobs_beyond_the_first(stack: Stack, shards: list[Shard]) -> tuple[int, list[str]]:
    """How many were created twice, and others that their makers cancelled; vLLM's jobs are files and cost nothing."""
    made: dict[str, list[str]] = {}
    cancelled = set()
    for request in requests_of(stack):
        if "job" in request:
            made.setdefault(token_of(request), []).append(request["job"])
        elif found := _CANCEL.search(request["path"]):
            cancelled |= {found[1]} if request["status"] == 200 else set()
    twice, undone = 0, []
    for shard in shards:
        jobs = made.get(shard.label, [])
        beyond = [job for job in jobs if job != shard.job.id] if shard.job else jobs[1:]
        taken_back = [job for job in beyond if job.removeprefix("batches/") in cancelled]
        twice += len(beyond) - len(taken_back)
        undone += taken_back
    return twice, undone


def token_of(request: dict[str, Any]) -> str:
    """The shard's label in a request that made a job, as each provider has it."""
    if "first_row" in request:
        return str(request["first_row"]).rpartition("-")[0]
    labels = request["metadata"] or {}
    return str(labels.get("batch_router_label") or labels.get("displayName"))


def left_behind(stack: Stack, before: set[str], batch_ids: Iterable[str]) -> list[str]:
    """What is at the providers now and was not before.

    A job that its maker took back is no leftover: where jobs can be deleted at all, one that is being cancelled cannot.
    Nor are the files with which OpenAI ends a job that an operator cancelled there, and had created again.
    Nor is what belongs to a job with answers that were not fetched: `status` says that it is kept.
    """
    batches = filter(None, map(stack.store.get_batch, batch_ids))
    return left_of(stack, before, [shard for batch in batches for shard in stack.store.get_shards(batch)])


def left_of(stack: Stack, before: set[str], shards: list[Shard]) -> list[str]:
    """The same for shards as they were, when a purge has deleted them."""
    left = remote_objects(stack) - before
    _, undone = jobs_beyond_the_first(stack, shards)
    outputs = (name for job in undone for name in _late_outputs(stack, job) if name)
    kept = (*undone, *outputs, *_kept(stack, shards))
    left = {name for name in left if not name.endswith(kept)}
    return [f"left at the provider: {', '.join(sorted(left))}"] if left else []


def _kept(stack: Stack, shards: list[Shard]) -> list[str]:
    jobs = [(shard.job, shard.upload) for shard in shards if shard.unfetched and shard.job]
    names = (name for job, upload in jobs for name in (job.id, upload, *job.outputs, *_late_outputs(stack, job.id)))
    return [name for name in names if name]


def _late_outputs(stack: Stack, job_id: str) -> tuple[str | None, ...]:
    """What a job of OpenAI's has answered since a worker last looked at it."""
    if not job_id.startswith("batch_"):
        return ()
    job = _ask(stack, f"{_JOBS}/{job_id}")
    return (job.get("output_file_id"), job.get("error_file_id"))


def what_is_kept(stack: Stack, batch_id: str) -> list[str]:
    """Of a batch that was purged."""
    kept = [] if stack.store.get_batch(batch_id) is None else ["the state"]
    kept += [str(path) for path in stack.home.glob(f"generated/*/{batch_id}/**/*") if path.is_file()]
    kept += [str(path) for path in stack.home.glob(f"accepted/{batch_id}.json")]
    return [f"kept after a purge: {name}" for name in kept]


def remote_objects(stack: Stack) -> set[str]:
    """All files and jobs at the providers that can be deleted there, and are not."""
    found = set()
    for name, (path, field, key) in _LISTS.items():
        found |= {f"{name} {each[key]}" for each in _ask(stack, path).get(field) or ()}
    return found


def _ask(stack: Stack, path: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(stack.simulator.url + path, headers=_HEADERS)) as answer:
        return json.load(answer)


def canaries(stack: Stack) -> list[str]:
    """Keys, prompts and the secrets of webhooks where none may be."""
    words = stack.words()
    if b"task-received" not in words:
        return ["no task event was seen, so nothing is known of what is in them"]
    hidden = (KEY, PROMPT, HOOK, NEW)
    return [f"{canary} is in logs, Redis or events" for canary in hidden if canary.encode() in words]
