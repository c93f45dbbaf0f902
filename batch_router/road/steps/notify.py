"""Sending a task to the user's app, or a webhook: at least once, always with the same id."""

from ...core import Failure, Manifest
from ...state.checks import corrupt
from ...state.events import Event
from ...state.items import Batch, Notice
from ...state.table import State
from ..callbacks import CallbackMessage
from ..context import Running
from ..outcome import NoticeOutcome, notice_to
from ..records import read_record
from ..step import Step
from ..submission import Submission
from ..webhooks import message_id, message_of, post


def notify(running: Running, notice: Notice) -> NoticeOutcome:
    """Send it. A worker that dies before the commit leaves it to another, which sends it again."""
    batch = running.store.get_batch(notice.batch)
    if batch is None or batch.erased or batch.purging:
        return notice_to(State.FAILED, failure=Failure(type="gone", message="the batch was deleted before"))
    submission = read_record(running.storage, batch.id, batch.submission, Submission)
    if notice.event is not None:
        return _post(running, batch, notice, notice.event, submission.options.webhook)
    message = _message_of(submission, batch, notice)
    running.deliver(message, batch.id if message.on_error else _manifest_of(running, batch))
    return notice_to(State.COMPLETED, sent_at=running.store.now(), attempts=notice.attempts)


def _post(running: Running, batch: Batch, notice: Notice, event: Event, url: str | None) -> NoticeOutcome:
    if url is None:
        raise corrupt(batch.id, f"{batch.submission} has no webhook")
    now = running.store.now()
    answer = post(running.settings, url, message_id(event), message_of(notice, batch), now)
    return notice_to(State.COMPLETED, sent_at=now, answer=answer, attempts=notice.attempts)


def _message_of(submission: Submission, batch: Batch, notice: Notice) -> CallbackMessage:
    if notice.callback is None or notice.callback >= len(submission.callbacks):
        raise corrupt(batch.id, f"{batch.submission} has no callback {notice.callback}")
    return submission.callbacks[notice.callback]


def _manifest_of(running: Running, batch: Batch) -> object:
    if batch.manifest is None:
        raise corrupt(batch.id, "it succeeded, and has no manifest")
    return read_record(running.storage, batch.id, batch.manifest, Manifest).to_dict()


STEP = Step(notify)
