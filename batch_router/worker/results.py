"""Celery's view of a batch: `AsyncResult(batch_id)` reads the store, where the truth is, and writes nothing."""

from typing import Any

from celery import states
from celery.backends.base import BaseBackend

from ..client import BatchClient
from ..exceptions import BatchFailedError
from ..state.table import State
from .process import context


class StoreBackend(BaseBackend):
    """A result backend without a database of its own."""

    def _store_result(self, *_: Any, **__: Any) -> None:
        """Nothing is stored: a step's result is the item's state."""

    def _forget(self, task_id: str) -> None:
        """Nothing was stored."""

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        client = BatchClient(context())
        batch = context().store.get_batch(task_id)
        if batch is None:
            return {"task_id": task_id, "status": states.PENDING, "result": None}
        if batch.state is State.FAILED:
            details = {"type": "unknown", "message": ""}
            if batch.failure:
                details = {"type": batch.failure.type, "message": batch.failure.message}
            return {"task_id": task_id, "status": states.FAILURE, "result": BatchFailedError(task_id, details)}
        if batch.manifest is not None:
            return {"task_id": task_id, "status": states.SUCCESS, "result": client.manifest(task_id).to_dict()}
        status = states.PENDING if batch.state is State.QUEUED else states.STARTED
        return {"task_id": task_id, "status": status, "result": None}
