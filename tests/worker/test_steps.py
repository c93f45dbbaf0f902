"""A step as a task."""

import pytest
from celery.exceptions import Ignore

from batch_router.road.context import Context
from batch_router.worker import app, steps
from tests.items import new_batch


def test_an_item_of_an_unknown_provider_is_left_alone(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker may have the package that brings the provider: nothing is claimed, nothing is given up."""
    assert context.store.create(new_batch("b", provider="brought"), delay=0)
    before = context.store.get_batch("b")
    monkeypatch.setattr(steps, "context", lambda: context)
    with pytest.raises(Ignore):
        app.tasks["batch_router.convert"].run(["b", 1])
    assert context.store.get_batch("b") == before
    assert "b" in {hint.id for hint in context.store.take_due(9, grace=0)}
