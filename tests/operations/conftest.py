"""The lab."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.lab import Lab, open_lab
from tests.road.odd_openai import OddOpenAI


@pytest.fixture
def lab(valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab whose service answers every row with its prompt."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with open_lab(valkey, tmp_path / "home", OddOpenAI()) as made:
        yield made
