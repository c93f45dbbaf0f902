"""The tasks: one that apps call, and one for each step of the road."""

from ..state.table import State
from .app import app
from .steps import ItemVersion, RoadTask
from .submission import SubmitTask, submit_from_message

#: `submit_batch.delay(provider=..., requests=[...])`, or `input=path`; see `SubmitTask.delay`.
submit_batch: SubmitTask = app.task(bind=True, shared=False, base=SubmitTask, name="batch_router.submit_batch")(
    submit_from_message
)


def _add_step(name: str) -> None:
    def step(self: RoadTask, message: ItemVersion) -> ItemVersion | None:
        return self.carry_on(message)

    app.task(bind=True, shared=False, base=RoadTask, name=f"batch_router.{name}")(step)


for name in sorted({state.step for state in State}):
    _add_step(name)
