"""What is built is what is needed: the wheel alone gives the same `batch-router demo`."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from .stack import clean_environment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


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
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    # The dependencies of this environment, without its link to the checkout.
    paths = [str(site), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environment = clean_environment(tmp_path, PYTHONPATH=":".join(paths))
    code = "import batch_router; print(batch_router.__file__)"
    where = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert where.stdout.startswith(str(site))
    command = [sys.executable, "-m", "batch_router.cli", "demo"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("  completed  40/40 succeeded\n") == 4  # the last lines: one per provider
