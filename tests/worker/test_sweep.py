"""The sweep of a worker outlives everything that can go wrong in it."""

import threading
import time
import types
from typing import Any

import pytest

from batch_router.exceptions import StoreUnavailableError
from batch_router.road.context import Context
from batch_router.road.rounds import Rounds
from batch_router.worker import sweep


def _wait_for(event: threading.Event) -> None:
    assert event.wait(20)


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
    sweep._watch("w", queues)
    assert context.store.listeners("io") == ["w"]
    assert context.store.listeners(sweep.SWEEPING) == ["w"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """At the next look, with a line on the log that counts."""
    again = threading.Event()
    ends: list[type[BaseException]] = [SystemExit]

    def act() -> None:
        if ends:
            raise ends.pop()
        again.set()

    rounds = Rounds("sweep", act, every=0.001)
    assert rounds.look_after()
    while rounds.look_after():
        time.sleep(0.001)
    _wait_for(again)
    assert rounds.replaced == 1
    assert "action=thread_replaced thread=sweep died times=1" in caplog.text
    rounds.close()


def test_a_thread_that_hangs_is_replaced_and_ends_when_it_wakes(caplog: pytest.LogCaptureFixture) -> None:
    """Two never go on side by side."""
    wake, again = threading.Event(), threading.Event()
    seen: list[threading.Thread] = []

    def act() -> None:
        seen.append(threading.current_thread())
        if len(seen) == 1:
            wake.wait(20)
        else:
            again.set()

    rounds = Rounds("sweep", act, every=0.001, hangs_after=0.05)
    while rounds.look_after():
        time.sleep(0.001)
    _wait_for(again)
    assert "action=thread_replaced thread=sweep silent_s=" in caplog.text
    wake.set()
    seen[0].join(20)
    assert not seen[0].is_alive()
    rounds.close()
