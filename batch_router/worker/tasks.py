"""The tasks: one that apps call, and one for each step of the road."""

from ..state.table import State
from .app import app
from .steps import RoadTask, Token
from .submission import SubmitTask, submit_from_message

#: `submit_batch.delay(provider=..., requests=[...])`, or `input=path`; see `SubmitTask.delay`.
submit_batch: SubmitTask = app.task(bind=True, shared=False, base=SubmitTask, name="batch_router.submit_batch")(
    submit_from_message
)


def _add_step(name: str) -> None:
    """A task that carries an item one step on: its argument and its return value are a `Token`."""

    def step(self: RoadTask, token: Token) -> Token | None:
        return self.carry_on(token)

    app.task(bind=True, shared=False, base=RoadTask, name=f"batch_router.{name}")(step)


for state in State:
    if state.step is not None:
        _add_step(state.step)
