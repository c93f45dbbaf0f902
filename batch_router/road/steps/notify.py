"""Sending a task to the user's app, at the end of his batch: at least once, always with the same task id."""

from ...core import Failure, Manifest
from ...state.checks import corrupt
from ...state.items import Batch, Notice
from ...state.table import State
from ..callbacks import CallbackMessage
from ..context import Running
from ..outcome import NoticeOutcome, notice_to
from ..records import read_record
from ..step import Step
from ..submission import Submission


def notify(running: Running, notice: Notice) -> NoticeOutcome:
    """Send the task. A worker that dies before the commit leaves it to another, which sends it again."""
    batch = running.store.get_batch(notice.batch)
    if batch is None or batch.erased or batch.purging:
        return notice_to(State.FAILED, failure=Failure(type="gone", message="the batch was deleted before"))
    message = _message_of(running, batch, notice)
    running.deliver(message, batch.id if message.on_error else _manifest_of(running, batch))
    return notice_to(State.COMPLETED, sent_at=running.store.now())


def _message_of(running: Running, batch: Batch, notice: Notice) -> CallbackMessage:
    submission = read_record(running.storage, batch.id, batch.submission, Submission)
    if notice.callback >= len(submission.callbacks):
        raise corrupt(batch.id, f"{batch.submission} has no callback {notice.callback}")
    return submission.callbacks[notice.callback]


def _manifest_of(running: Running, batch: Batch) -> object:
    if batch.manifest is None:
        raise corrupt(batch.id, "it succeeded, and has no manifest")
    return read_record(running.storage, batch.id, batch.manifest, Manifest).to_dict()


STEP = Step(notify)
