"""The lab."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.lab import Lab, open_lab
from tests.road.odd_openai import OddOpenAI


@pytest.fixture
def lab(valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab whose service answers every row with its prompt."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    service = OddOpenAI(lambda job: job.done(created_at=int(time.time())))  # as old as it is looked for
    with open_lab(valkey, tmp_path / "home", service) as made:
        yield made
