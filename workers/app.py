"""`celery -A workers.app worker`: the app of batch_router with the Celery settings of this checkout."""

import celeryconfig
from batch_router.worker import app

app.config_from_object(celeryconfig)

__all__ = ["app"]
