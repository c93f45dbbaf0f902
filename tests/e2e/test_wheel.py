"""What is built is what is needed: the wheel alone gives the same `batch-router demo`."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.wheel import build_wheel, install_wheel

from .stack import clean_environment


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_library_alone(wheel: Path) -> None:
    """With the Lua script, the Procfile and the mark for type checkers; no other top-level name."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"batch_router"}
    for name in ("batch_router/state/store.lua", "batch_router/cli/Procfile", "batch_router/worker/app.py"):
        assert name in names
    assert "batch_router/py.typed" in names


def test_the_demo_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """Installed into an empty folder, next to the dependencies and far from the checkout."""
    site = tmp_path / "site"
    environment = clean_environment(tmp_path, **install_wheel(wheel, site))
    code = "import batch_router; print(batch_router.__file__)"
    where = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert where.stdout.startswith(str(site))
    command = [sys.executable, "-m", "batch_router.cli", "demo"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("  completed  40/40 succeeded\n") == 4  # the last lines: one per provider
