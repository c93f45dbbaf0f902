"""The driver of one process: nothing that is due holds up the rest."""

from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from batch_router.local_driver import LocalDriver
from batch_router.providers import OpenAIProvider, Provider
from batch_router.settings import Settings
from batch_router.state.table import State
from tests.items import new_batch


class _Broken(OpenAIProvider):
    """A provider of the app's own."""

    @classmethod
    def model_queues(cls, settings: Settings) -> frozenset[str]:
        raise RuntimeError("of another package")


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalDriver]:
    """A driver that looks only when the test says so."""
    monkeypatch.setattr(LocalDriver, "_EVERY", 1000.0)
    providers: dict[str, Provider] = {"openai": OpenAIProvider(api_key="k"), "broken": _Broken(api_key="k")}
    started = LocalDriver(Settings(home=tmp_path), providers, in_memory=True)
    yield started
    started.stop()


def test_items_of_other_providers_hide_none_of_ours(driver: LocalDriver) -> None:
    """Hundreds of them may be due before ours: one look gets to it."""
    for number in range(500):
        driver.context.store.create(new_batch(f"b{number}", provider="elsewhere"), delay=0)
    driver.context.store.create(new_batch("ours"), delay=0)
    driver._look()
    wait(driver._running)
    batch = driver.context.store.get_batch("ours")
    assert batch is not None
    assert batch.version == 3  # claimed and committed: its rows are not there


def test_no_more_is_taken_than_there_are_threads(driver: LocalDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a look leaves is due for another driver of the store, and is not handed out twice to wait in this one."""
    for number in range(20):
        driver.context.store.create(new_batch(f"b{number}"), delay=0)
    monkeypatch.setattr(driver, "_carry", lambda hint: None)
    driver._look()
    assert len(driver._running) == LocalDriver._THREADS
    assert len(driver.context.store.take_due(99, grace=60)) == 20 - LocalDriver._THREADS


def test_a_provider_that_raises_holds_up_no_other(driver: LocalDriver, caplog: pytest.LogCaptureFixture) -> None:
    """The queues of the others are announced, and a line on the log names it."""
    driver._announce()
    assert all(driver.context.store.listeners(str(state.queue)) for state in State if state.queue)
    assert "action=queues_failed provider=broken" in caplog.text
