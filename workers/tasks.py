"""The tasks of the road, in the order of travel."""

from typing import Any

from celery import Task
from celery.exceptions import Ignore
from celery.result import AsyncResult

from batch_router.exceptions import ValidationError
from batch_router.pipeline.submit import submit

from .app import app
from .process import context
from .road import RoadTask, Token
from .routing import publish


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


@app.task(bind=True, base=SubmitTask)
def submit_batch(self: Task, *args: Any, **kwargs: Any) -> None:
    """Submit a batch: `submit_batch.delay(provider=..., requests=[...])` or `input=path`; see `submit`.

    The body runs only for a bare `send_task("workers.tasks.submit_batch", ...)`, which is weaker: the rows travel
    through the broker, and until a worker has taken the message nobody knows of the batch.
    """
    if context().store.get_batch(self.request.id) is None:
        publish(submit(context(), *args, **{"batch_id": self.request.id, **kwargs}, message_follows=True))
    raise Ignore


@app.task(bind=True, base=RoadTask)
def convert(self: RoadTask, token: Token) -> Token | None:
    """Check the rows and cut them into shards; each goes its own way from here."""
    return self.carry_on(token)


@app.task(bind=True, base=RoadTask)
def expire(self: RoadTask, token: Token) -> Token | None:
    """Cancel a batch whose time is over."""
    return self.carry_on(token)


@app.task(bind=True, base=RoadTask)
def upload(self: RoadTask, token: Token) -> Token | None:
    """Send a shard's rows to the provider."""
    return self.carry_on(token)


@app.task(bind=True, base=RoadTask)
def create(self: RoadTask, token: Token) -> Token | None:
    """Create the shard's job, once."""
    return self.carry_on(token)


@app.task(bind=True, base=RoadTask)
def poll(self: RoadTask, token: Token) -> Token | None:
    """Look at the job, and again later, until it has ended."""
    return self.carry_on(token)


@app.task(bind=True, base=RoadTask)
def download(self: RoadTask, token: Token) -> Token | None:
    """Fetch the answers."""
    return self.carry_on(token)


@app.task(bind=True, base=RoadTask)
def normalize(self: RoadTask, token: Token) -> Token | None:
    """Bring the answers into one shape and into input order."""
    return self.carry_on(token)


@app.task(bind=True, base=RoadTask)
def clean(self: RoadTask, token: Token) -> Token | None:
    """Delete what the shard has left at the provider."""
    return self.carry_on(token)


@app.task(bind=True, base=RoadTask)
def finish(self: RoadTask, token: Token) -> Token | None:
    """Balance the books and write the manifest."""
    return self.carry_on(token)
