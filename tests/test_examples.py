"""The examples run as they stand, against simulated providers."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_router.simulator import Simulator

from .conftest import ROOT
from .e2e.stack import clean_environment


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Providers that repeat what they are asked."""
    with Simulator() as running:
        yield running


def run(example: str, *arguments: str, simulator: Simulator, home: Path, provider: str, path: str) -> list[str]:
    """The lines that an example prints; the provider's key and URL come from the environment."""
    name = provider.upper()
    environment = clean_environment(home) | {
        f"BATCH_ROUTER_{name}_BASE_URL": simulator.url + path,
        f"{name}_API_KEY": "sk-example",
    }
    command = [sys.executable, str(ROOT / "examples" / example), *arguments]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_multimodal_example_sees_its_picture(simulator: Simulator, tmp_path: Path) -> None:
    """A picture and a question go to another provider in the same way."""
    (tmp_path / "image.jpg").write_bytes(b"\xff\xd8\xff\xe0 a picture")
    lines = run(
        "multimodal.py", "image.jpg", simulator=simulator, home=tmp_path, provider="anthropic", path="/anthropic"
    )
    assert len(lines) == 1
    assert "What's in this image?" in lines[0]


def test_the_basic_example_answers_its_questions(simulator: Simulator, tmp_path: Path) -> None:
    """Two requests, one batch, two answers in order; the process ends by itself."""
    lines = run("basic.py", simulator=simulator, home=tmp_path, provider="openai", path="/openai/v1")
    assert lines[0].startswith("Batch sent: batch_")
    assert lines[1:] == [
        "Batch completed: completed",
        "req-1: What is 2+2?",
        "req-2: What is the capital of France?",
    ]
