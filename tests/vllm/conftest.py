"""The real vLLM on CPU: `make test-vllm` says where it is; without it these tests are not run."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vllm.real import FOLDER_VARIABLE, Real, environment

# A model loads for half a minute, several times in a test.
_PATIENCE = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(_PATIENCE))
            if FOLDER_VARIABLE not in os.environ:
                item.add_marker(pytest.mark.skip(reason="the real vLLM: `make test-vllm`"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    python = Path(os.environ[FOLDER_VARIABLE]) / "bin" / "python"
    script = Path(__file__).with_name("tiny_model.py")
    subprocess.run([python, script, folder], check=True, env=environment())
    return folder


@pytest.fixture(params=["serve", "run-batch"])
def real(tiny: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    """Jobs of the tiny model, with each engine."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BATCH_ROUTER_HOME", str(tmp_path / "home"))
    made = Real(tmp_path / "home", tiny, request.param)
    yield made
    made.client.close()
