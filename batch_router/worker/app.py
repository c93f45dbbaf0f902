"""The Celery app: `celery -A batch_router.worker worker`."""

from celery import Celery

app = Celery("batch_router", set_as_current=False)
app.config_from_object("batch_router.worker.config")
