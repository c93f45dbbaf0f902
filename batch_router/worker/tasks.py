"""The tasks of the road, in the order of travel."""

from typing import Any

from celery import Task
from celery.exceptions import Ignore
from celery.result import AsyncResult

from ..exceptions import ValidationError
from ..operations.submit import submit
from ..state.table import State
from .app import app
from .process import context
from .routing import publish
from .steps import RoadTask, Token


class SubmitTask(Task):
    """Submits in the caller's process: bad input raises there, and a lost message loses nothing."""

    abstract = True

    def apply_async(
        self,
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        task_id: str | None = None,
        **options: Any,
    ) -> AsyncResult:
        """Check the arguments, store the batch, then send the first message.

        Args:
            args: of `submit_batch`.
            kwargs: of `submit_batch`.
            task_id: becomes the batch id.
            options: none that changes what happens is taken.
        """
        refused = sorted(name for name, value in options.items() if value and name not in ("route_name", "shadow"))
        if refused:
            raise ValidationError(f"submit_batch takes no option {refused[0]!r}: it runs in the caller's process")
        given = {"batch_id": task_id} if task_id else {}
        hint = submit(context(), *(args or ()), **{**given, **(kwargs or {})}, message_follows=True)
        publish(hint)
        return self.AsyncResult(hint.id)


@app.task(bind=True, base=SubmitTask, name="batch_router.submit_batch")
def submit_batch(self: Task, *args: Any, **kwargs: Any) -> None:
    """Submit a batch: `submit_batch.delay(provider=..., requests=[...])` or `input=path`; see `submit`.

    The body runs only for a bare `send_task("batch_router.submit_batch", ...)`, which is weaker: the rows travel
    through the broker, and `status` does not know the batch until a worker has taken the message.
    """
    if context().store.get_batch(self.request.id) is None:
        publish(submit(context(), *args, **{"batch_id": self.request.id, **kwargs}, message_follows=True))
    raise Ignore


def _add_step(name: str) -> None:
    """A task that carries an item one step on: its argument and its return value are a `Token`."""

    def step(self: RoadTask, token: Token) -> Token | None:
        return self.carry_on(token)

    app.task(bind=True, base=RoadTask, name=f"batch_router.{name}")(step)


for state in State:
    if state.step is not None:
        _add_step(state.step)
