"""Operators' commands against each other, one in the midst of another, over a real Valkey.

The second command comes before each call that the first one makes to the store (and to the storage, where one of them
submits). Whatever the moment, the outcome is one of those that docs/operators.md states.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from batch_router.client import BatchClient
from batch_router.core import BatchStatus
from batch_router.exceptions import BatchRouterError
from batch_router.road.advance import advance
from batch_router.road.context import Context
from batch_router.state.base import Hint
from batch_router.state.table import State
from tests.operations.interleave import Moment
from tests.operations.lab import Lab, open_lab
from tests.operations.test_parked import UNKNOWN
from tests.road.odd_openai import OddJob, OddOpenAI

ROW = [{"custom_id": "a", "prompt": "A"}, {"custom_id": "b", "prompt": "B"}]
Command = Callable[[BatchClient], object]

COMMANDS: dict[str, Command] = {
    "purge": lambda client: client.purge("b"),
    "submit": lambda client: client.submit("openai", model="m", requests=ROW, batch_id="b"),
    "submit by key": lambda client: client.submit("openai", model="m", requests=ROW, idempotency_key="k"),
    "retry": lambda client: client.retry("b", undecided=True),
    "resume": lambda client: client.resume("b"),
    "cancel": lambda client: client.cancel("b"),
    "attach": lambda client: client.resolve("b", attach="batch-0"),
    "recreate": lambda client: client.resolve("b", recreate=True),
    "give up": lambda client: client.resolve("b", give_up=True),
    "a step": lambda client: carry_out(client._context),
}
ENDED = ("purge", "submit", "retry", "resume", "cancel")
PARKED = ("cancel", "attach", "recreate", "give up")


def carry_out(context: Context) -> None:
    """What a worker does meanwhile."""
    for hint in context.store.take_due(10, grace=0):
        advance(context, hint.id, hint.version)


@pytest.fixture
def labs(valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], "Lab"]]:
    """A new lab each time, closed before the next one."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    opened: list[object] = []

    def make() -> Lab:
        close()
        manager = open_lab(valkey, tmp_path / os.urandom(4).hex(), OddOpenAI())
        opened.append(manager)
        return manager.__enter__()

    def close() -> None:
        while opened:
            opened.pop().__exit__(None, None, None)  # type: ignore[attr-defined]

    yield make
    close()


def each_moment(
    labs: Callable[[], Lab], prepare: Callable[[Lab], None], outer: Command, inner: Command
) -> Iterator[tuple[Lab, list[str]]]:
    """The lab after both, and which of them did their work, for each moment that `inner` can come in `outer`."""
    number = 0
    while True:
        lab = labs()
        prepare(lab)
        done: list[str] = []
        moment = Moment(number, partial(attempt, lab.context, inner, "inner", done))
        stores_or_deletes = {outer, inner} & {COMMANDS["submit"], COMMANDS["submit by key"]}
        attempt(moment.within(lab.context, storage=bool(stores_or_deletes)), outer, "outer", done)
        if not moment.has_come:
            return
        lab.drain_all()
        yield lab, done
        number += 1


def attempt(context: Context, command: Command, name: str, done: list[str]) -> None:
    """Note a command that did its work. One may be refused; an error of another kind fails the test."""
    with suppress(BatchRouterError):
        command(BatchClient(context))
        done.append(name)


def failed(lab: Lab) -> None:
    """A batch that ended with rows that were never sent, for want of a key: nothing was paid for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENAI_API_KEY")
        lab.submit(requests=ROW)
        lab.drain()
    lab.context.clients.forget("openai", None)


def parked(lab: Lab) -> None:
    """A batch whose job has a status of no meaning, and, when it is asked again, its answers."""
    lab.service.describe = lambda job: dict(UNKNOWN)
    lab.submit(requests=ROW)
    lab.drain(lambda _: any(shard.state is State.PARKED for shard in lab.shards()))
    lab.service.describe = OddJob.done


def paid(lab: Lab) -> list[str]:
    """What the rows of all jobs say."""
    return sorted(row["body"]["messages"][-1]["content"] for job in lab.service.jobs for row in job.rows)


def check(lab: Lab) -> None:
    """Every batch of the store rests, and what has ended has a result per request; of others nothing is stored."""
    client = BatchClient(lab.context)
    known = [batch.id for batch in lab.context.store.iter_batches()]
    for batch_id in known:
        status = client.status(batch_id)
        if status.status is BatchStatus.PARKED:
            continue
        assert status.status.is_final
        assert [result.custom_id for result in client.results(batch_id)] == ["a", "b"]
        if status.request_counts.succeeded == 2:
            client.verify(batch_id)
    stored = {found.name.split("/")[2] for found in lab.context.storage.list("generated")}
    assert stored == set(known)


@pytest.mark.parametrize("inner", ENDED)
@pytest.mark.parametrize("outer", ENDED)
def test_about_a_batch_that_has_ended(labs: Callable[[], Lab], outer: str, inner: str) -> None:
    """No row is paid for twice, and every batch that is left is whole."""
    moments = 0
    for lab, done in each_moment(labs, failed, COMMANDS[outer], COMMANDS[inner]):
        moments += 1
        check(lab)
        if {outer, inner} != {"purge", "submit"}:
            assert len(paid(lab)) <= 2, (moments, done)
        if "purge" in (outer, inner) and "submit" not in (outer, inner):
            purged = outer if "outer" in done else inner if "inner" in done else None
            assert purged is not None
    assert moments > 0


def old(lab: Lab) -> None:
    """The same, and its shards have been kept long enough."""
    failed(lab)
    lab.age(lab.context.settings.keep_shards)


@pytest.mark.parametrize("outer", ENDED)
def test_a_worker_lets_go_of_an_old_batch_meanwhile(labs: Callable[[], Lab], outer: str) -> None:
    """The command does its work on a batch that is whole, or is refused."""
    for lab, _ in each_moment(labs, old, COMMANDS[outer], COMMANDS["a step"]):
        check(lab)
        assert len(paid(lab)) <= 2


@pytest.mark.parametrize("inner", [*PARKED, "a step"])
@pytest.mark.parametrize("outer", PARKED)
def test_about_a_batch_that_is_parked(labs: Callable[[], Lab], outer: str, inner: str) -> None:
    """A second job is bought by `recreate` alone, and only where nothing else was decided before."""
    for lab, done in each_moment(labs, parked, COMMANDS[outer], COMMANDS[inner]):
        check(lab)
        recreated = [
            name for name, which in (("outer", outer), ("inner", inner)) if which == "recreate" and name in done
        ]
        assert len(lab.service.jobs) <= 1 + len(recreated)
        assert len(recreated) <= 1


@pytest.mark.parametrize("command", ["purge", "submit", "retry", "resume"])
def test_what_waits_for_an_end_is_refused(labs: Callable[[], Lab], command: str) -> None:
    """A batch that is parked has not ended: none of these begins with it."""
    lab = labs()
    parked(lab)
    before = lab.batch(), lab.shards()
    with pytest.raises(BatchRouterError):
        COMMANDS[command](BatchClient(lab.context))
    assert (lab.batch(), lab.shards()) == before


def test_the_id_of_a_purged_batch_is_used_again(labs: Callable[[], Lab]) -> None:
    """Two purges of a batch, and its id submitted again between them, at every moment: the new batch stays whole."""

    def purge_and_submit(client: BatchClient) -> None:
        with suppress(BatchRouterError):
            client.purge("b")
        client.submit("openai", model="m", requests=ROW, batch_id="b")

    for lab, done in each_moment(labs, failed, COMMANDS["purge"], purge_and_submit):
        check(lab)
        if "inner" in done:
            assert BatchClient(lab.context).status("b").request_counts.succeeded == 2


def test_a_key_that_is_used_again_while_its_batch_is_purged(labs: Callable[[], Lab]) -> None:
    """Either the old batch is named, which is gone then, or a new one is made, or the caller is told to come back."""

    def prepare(lab: Lab) -> None:
        COMMANDS["submit by key"](BatchClient(lab.context))
        lab.drain_all()

    def purge_all(client: BatchClient) -> None:
        for batch in list(client._context.store.iter_batches()):
            client.purge(batch.id)

    for outer, inner in ((purge_all, COMMANDS["submit by key"]), (COMMANDS["submit by key"], purge_all)):
        for lab, _ in each_moment(labs, prepare, outer, inner):
            check(lab)


@pytest.mark.parametrize("state", [State.QUEUED, State.DOWNLOADING, State.NORMALIZING, State.FINISHING])
def test_a_step_that_wakes_after_a_purge_leaves_nothing(labs: Callable[[], Lab], state: State) -> None:
    """Whenever its worker sleeps while others end the batch and an operator purges it, no object comes back."""
    number, has_come = 0, True
    while has_come:
        lab = labs()
        lab.submit(requests=ROW)
        hint = due(lab, state)
        moment = Moment(number, partial(end_and_purge, lab, hint.id))
        advance(moment.within(lab.context, storage=True), hint.id, hint.version)
        number, has_come = number + 1, moment.has_come
        assert not has_come or list(lab.context.storage.list("generated")) == []


def due(lab: Lab, state: State) -> Hint:
    """Carry out what is due until an item is due that is in this state."""
    while True:
        for hint in lab.context.store.take_due(1, grace=0):
            if hint.state is state:
                return hint
            advance(lab.context, hint.id, hint.version)


def end_and_purge(lab: Lab, item_id: str) -> None:
    """The lease of the item ends, and other workers carry on with it."""
    lab.server.zadd(lab.due, {item_id: 0})
    lab.drain()
    BatchClient(lab.context).purge("b")
