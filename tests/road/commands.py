"""What operators do about batches that have ended: rows are sent again, losses are made good."""

from contextlib import suppress

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from batch_router.client import BatchClient
from batch_router.exceptions import BatchRouterError
from batch_router.operations.resume import resume
from batch_router.state.items import Batch
from tests.road.chances import numbers, plans
from tests.road.fleet import Plan
from tests.road.world import World, pick

_AGAIN = "-retry"


class Commands(World):
    """A fleet with such operators.

    Attributes:
        asked_again: what the rows say that were sent again by `retry`: the user pays for them once more.
        happened: what came about in this run, for a count of all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked_again: set[str] = set()
        self.happened: set[str] = set()

    @precondition(lambda self: self.ended())
    @rule(which=numbers, undecided=st.booleans(), plan=plans)
    def retry(self, which: int, undecided: bool, plan: Plan | None) -> None:
        """Rows without an answer are asked for once more, and may be paid once more."""
        batch = pick(self.ended(), which)

        def work() -> None:
            client = BatchClient(self.context)
            with suppress(BatchRouterError):
                failed = {result.custom_id for result in client.results(batch.id) if not result.is_successful()}
                self.submitted.setdefault(f"{batch.id}{_AGAIN}", [])
                self.asked_again |= failed
                self.acknowledged.add(client.retry(batch.id, undecided=undecided))
                self.happened.add("retried")

        self.fleet.run("retry", work, plan)

    @precondition(lambda self: self.ended())
    @rule(which=numbers, plan=plans)
    def resume(self, which: int, plan: Plan | None) -> None:
        """What was lost is made good; nothing is paid again."""
        batch = pick(self.ended(), which)

        def work() -> None:
            with suppress(BatchRouterError):
                resume(self.context, batch)
                self.happened.add("resumed")

        self.fleet.run("resume", work, plan)

    def ended(self) -> list[Batch]:
        """The batches of the user that have ended; those that `retry` made are left alone."""
        batches = [self.truth.get_batch(name) for name in self.submitted if not name.endswith(_AGAIN)]
        return [batch for batch in batches if batch is not None and batch.state.is_final]

    def note_rows(self, batch: Batch) -> None:
        """Which rows a batch has that `retry` made, as they lie in storage."""
        if batch.id.endswith(_AGAIN):
            with self.context.storage.open(batch.input.stored) as stream:
                names = [str(msgspec.json.decode(line)["custom_id"]) for line in stream]
            assert set(names) <= set(self.submitted[batch.id.removesuffix(_AGAIN)])
            self.submitted[batch.id] = names
