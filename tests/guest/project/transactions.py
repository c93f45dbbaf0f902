"""A program of the project: it submits in transactions of Django, one of which is rolled back, and links a task."""

import os
from contextlib import suppress

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
django.setup()

from django.db import transaction  # noqa: E402 - Django first
from shop.tasks import submit_batch, told  # noqa: E402


class UndoneError(Exception):
    """Ends a transaction."""


def submit(what: str) -> None:
    """Submit a batch when the transaction is committed."""
    asked = {"model": "gpt-5-mini", "requests": [{"custom_id": "a", "prompt": what}], "metadata": {"what": what}}
    submit_batch.apply_async_on_commit(("openai",), asked, link=told.s(what))
    submit_batch.delay_on_commit("openai", **asked | {"metadata": {"what": f"{what} by delay"}})


with suppress(UndoneError), transaction.atomic():
    submit("rolled back")
    raise UndoneError
with transaction.atomic():
    submit("committed")
