"""As Django's page in Celery's documentation has it; which of the two comes first is for the test to say."""

import os

if os.environ["SHOP_IMPORTS_FIRST"] == "ours":
    import batch_router.worker  # noqa: F401

from .celery import app as celery_app

__all__ = ("celery_app",)
