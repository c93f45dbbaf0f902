"""Celery's view of a batch: `AsyncResult(batch_id)` reads the store, where the truth is, and writes nothing."""

from typing import Any

from celery import states
from celery.backends.base import BaseBackend
from celery.exceptions import TaskRevokedError

from ..client import BatchClient
from ..core import BatchStatus
from ..exceptions import BatchExpiredError, BatchFailedError, BatchNotFoundError
from ..operations.waiting import check_end
from .process import context


class StoreBackend(BaseBackend):
    """A result backend without a database of its own."""

    def _store_result(self, *_: Any, **__: Any) -> None:
        """Nothing is stored: a step's result is the item's state."""

    def _forget(self, task_id: str) -> None:
        """Nothing was stored."""

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        client = BatchClient(context())
        try:
            batch = check_end(client.status(task_id))
        except BatchNotFoundError:
            return {"task_id": task_id, "status": states.PENDING, "result": None}
        except (BatchExpiredError, BatchFailedError) as error:
            return {"task_id": task_id, "status": states.FAILURE, "result": error}
        if batch.status is BatchStatus.CANCELLED:
            return {"task_id": task_id, "status": states.REVOKED, "result": TaskRevokedError("the batch was cancelled")}
        if batch.is_complete():
            return {"task_id": task_id, "status": states.SUCCESS, "result": client.manifest(task_id).to_dict()}
        status = states.PENDING if batch.status is BatchStatus.QUEUED else states.STARTED
        return {"task_id": task_id, "status": status, "result": None}
