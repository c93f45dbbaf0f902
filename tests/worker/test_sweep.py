"""The sweep of a worker outlives everything that can go wrong in it."""

import types
from typing import Any

import pytest

from batch_router.exceptions import StoreUnavailableError
from batch_router.road.context import Context
from batch_router.worker import sweep


def test_a_broker_that_is_away_ends_no_sweep(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where it answers badly nor where it is not known yet: the next look asks again."""
    answers: list[Any] = [StoreUnavailableError("no Redis"), RuntimeError("?"), object()]

    def open_broker(_settings: object) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setenv("BATCH_ROUTER_SWEEP_EVERY", "0.001")
    monkeypatch.setattr(sweep, "open_broker", open_broker)
    monkeypatch.setattr(sweep, "context", lambda: context)
    monkeypatch.setattr(sweep, "is_stopping", lambda: not answers)
    queues: Any = types.SimpleNamespace(consume_from={"io": None})
    sweep._run("w", queues)
    assert context.store.listeners("io") == ["w"]
