"""The task that apps call. It submits in the caller's process: bad input raises there, a lost message loses nothing."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Unpack

from celery import Task
from celery.canvas import Signature
from celery.exceptions import Ignore
from celery.result import AsyncResult

from ..exceptions import ValidationError
from ..intake.mistakes import takes_provider
from ..intake.options import SubmitOptions, read_options
from ..operations.submit import submit
from ..security.logs import get_logger
from .callbacks import Wanted, wanted_by_name
from .messages import read_submission
from .process import context
from .routing import publish

log = get_logger(__name__)

# Options of Celery's `apply_async` without a meaning here: how a message is sent, what a task belongs to, and for how
# long a message is worth something that is sent at once.
_WITHOUT_MEANING = frozenset(
    "add_to_parent connection expires group_id group_index ignore_result parent_id producer publisher reply_to"  # noqa: SIM905
    " retry retry_policy route_name shadow".split()
)
_NO_CHORD = (
    "submit_batch cannot be in the header of a chord, which would wait for it in another app: submit in a group, and "
    "let a `link` of each batch count them; or wait for them in a task of yours"
)


class SubmittedBatch(AsyncResult):
    """A batch as Celery's result.

    Attributes:
        id: the batch id.
    """

    id: str

    def get(self, timeout: float | None = None, **options: Any) -> dict[str, Any]:
        """Wait until the batch has ended.

        Args:
            timeout: seconds; None: for ever.
            options: those of Celery's `AsyncResult.get`.

        Returns:
            The manifest: its parts, their counts and hashes.

        Raises:
            BatchExpiredError: it was cancelled when its own `timeout` was over; what was answered is there.
            BatchFailedError: it ended without a single answer.
            celery.exceptions.TaskRevokedError: it was cancelled.
            celery.exceptions.TimeoutError: it had not ended after `timeout`.
        """
        manifest: dict[str, Any] = super().get(timeout=timeout, **options)
        return manifest

    def revoke(self, *_: Any, **__: Any) -> None:
        """Cancel the batch; it ends with the answers that it has. Celery's options have no meaning here."""
        context().store.cancel(self.id)


@Signature.register_type("batch_router.submit_batch")
class SubmitSignature(Signature):
    """`submit_batch.s(...)`: a batch that a chain or a group submits."""

    @classmethod
    def from_dict(cls, d: dict[str, Any], app: Any = None) -> "SubmitSignature":
        """See Celery's `Signature`."""
        return cls(d, app=app)

    def freeze(self, *args: Any, chord: Any = None, **options: Any) -> Any:
        """Give it its id; a chord asks for that before it sends anything."""
        if chord is not None:
            raise ValidationError(_NO_CHORD)
        return super().freeze(*args, **options)

    _freeze = freeze

    def clone(self, *args: Any, **options: Any) -> Any:
        """Copy it, as a group does. Celery's copies of links would be of the app that is current in the thread."""
        links = {name: each for name, each in {**self.options, **options}.items() if name in ("link", "link_error")}
        return super().clone(*args, **options).set(**links)


class SubmitTask(Task):
    """See `submit_batch`."""

    abstract = True
    Request = "batch_router.worker.request:Request"

    @takes_provider
    def delay(self, provider: str, **options: Unpack[SubmitOptions]) -> SubmittedBatch:
        """Submit a batch.

        Args:
            provider: whose API the requests go to.
            options: the rows (`requests` or `input`) and what concerns all of them: see `SubmitOptions`.

        Raises:
            ValidationError: says what is wrong and what to do; nothing was stored.
            StoreUnavailableError: the store does not answer.
        """
        return self.apply_async((provider,), options)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        link: Any = None,
        link_error: Any = None,
        chain: Sequence[Any] | None = None,
        root_id: str | None = None,
        **options: Any,
    ) -> SubmittedBatch:
        """Check the arguments, store the batch, then send the first message.

        Args:
            args: of `delay`.
            kwargs: of `delay`.
            task_id: becomes the batch id.
            link: tasks of the caller's app that are sent when the batch has succeeded, with the manifest.
            link_error: those that are sent when it has failed, expired, or was cancelled, with the batch's id.
            chain: what follows in a chain, the last task first.
            root_id: of the chain.
            options: none that changes what happens is taken.
        """
        _check_options(options)
        provider, given = submit_batch(*(args or ()), **(kwargs or {}))
        if task_id is not None and _chosen_id(given) not in (None, task_id):
            raise ValidationError("task_id: the batch has another id by batch_id or idempotency_key; give one of them")
        if task_id is not None and given.get("idempotency_key") is None:
            given["batch_id"] = task_id
        wanted = Wanted(link, link_error, chain or (), root_id)
        hint = submit(context(), provider, given, message_follows=True, callbacks=wanted.messages)
        publish(hint)
        return self.AsyncResult(hint.id)

    def signature(self, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Signature:
        """The call as data. In a chain or a group its id is known before it runs, so a key decides about it here."""
        made = SubmitSignature(self, args, kwargs, *more, subtask_type=self.name, app=self.app, **options)
        known = _chosen_id(kwargs or {})
        return made if known is None else made.set(task_id=known)

    subtask = signature

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """Submit when Django's transaction is committed, and not if it is rolled back."""
        django_task().delay_on_commit(self, *args, **kwargs)

    def apply_async_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """The same for `apply_async`."""
        django_task().apply_async_on_commit(self, *args, **kwargs)

    def AsyncResult(self, task_id: str, **options: Any) -> SubmittedBatch:  # noqa: N802 - Celery's name
        """The result of a batch that was submitted earlier."""
        return SubmittedBatch(task_id, app=self.app, **options)


def submit_from_message(task: Task, submission: str) -> None:
    """Submit a batch in a worker, for `send_task("batch_router.submit_batch", ...)`.

    That is weaker than `delay`: the rows travel through the broker, and `status` does not know the batch until a worker
    has taken the message. A file is not read: it would be the worker's, not the sender's. `link`, `link_error` and the
    rest of a chain are sent over our broker, where the message was. What cannot be submitted is dropped, and the log
    does not repeat it.
    """
    try:
        if context().store.get_batch(task.request.id) is None:
            options, follows = read_submission(submission)
            provider, given = submit_batch(**{"batch_id": task.request.id, **options})
            with wanted_by_name(follows.callbacks, follows.errbacks, follows.chain) as wanted:
                hint = submit(context(), provider, given, message_follows=True, callbacks=wanted.messages)
            publish(hint)
    except Exception as error:
        log.warning("action=submission_dropped task=%s error=%s", task.request.id, type(error).__name__)
    raise Ignore


@takes_provider
def submit_batch(provider: str, **options: Unpack[SubmitOptions]) -> tuple[str, SubmitOptions]:
    """The arguments of `delay`, wherever they come from."""
    return provider, options


def _check_options(options: Mapping[str, Any]) -> None:
    refused = sorted(name for name, value in options.items() if value and name not in _WITHOUT_MEANING)
    if "chord" in refused:
        raise ValidationError(_NO_CHORD)
    if refused:
        raise ValidationError(f"submit_batch takes no option {refused[0]!r}: it runs in the caller's process")


def _chosen_id(given: Mapping[str, Any]) -> str | None:
    """The id that its arguments give a batch."""
    known = {name: given[name] for name in ("batch_id", "idempotency_key") if given.get(name) is not None}
    return read_options(known).choose_id() if known else None


def django_task() -> Any:
    """Celery's task for Django; it imports Django."""
    return import_module("celery.contrib.django.task").DjangoTask
