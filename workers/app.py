"""The Celery app: `celery -A workers.app worker`."""

from celery import Celery

app = Celery("batch_router")
app.config_from_object("celeryconfig")
