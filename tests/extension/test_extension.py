"""What a new step, a new provider and a new field of the result take: one file and one row, one folder, one line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stack import clean_environment

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ECHO = ROOT / "tests" / "fifth_provider" / "echo_provider.py"


def insert(path: Path, after: str, line: str) -> None:
    """Put a line into a file, behind the one line that begins so."""
    text = path.read_text()
    (before,) = [each for each in text.splitlines() if each.startswith(after)]
    path.write_text(text.replace(f"{before}\n", f"{before}\n{line}\n"))


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A copy of the library with the three of them, and nothing else changed."""
    package = tmp_path / "source" / "batch_router"
    shutil.copytree(ROOT / "batch_router", package, ignore=shutil.ignore_patterns("__pycache__"))
    # a step: one file, and one row of the table
    shutil.copy(HERE / "stamp.py", package / "road" / "steps" / "stamp.py")
    row = '    STAMPING = ("stamping", "stamp", "cpu", "", "normalizing")'
    insert(package / "state" / "table.py", "    DOWNLOADING =", row)
    # a field of the result: one line
    insert(package / "core" / "responses.py", "    refusal: str", "    loudness: int | None = None")
    # a provider: one folder; its codec fills the field
    (package / "providers" / "echo").mkdir()
    source = ECHO.read_text().replace('text=row["said"],', 'text=row["said"],\n            loudness=len(row["said"]),')
    (package / "providers" / "echo" / "__init__.py").write_text(f"{source}\n\nPROVIDER = EchoProvider\n")
    return package.parent


def test_it_is_in_use_everywhere(extended: Path, tmp_path: Path) -> None:
    """The road takes the step, the fleet has its task, the provider answers, and the field reaches the user."""
    url = "redis://127.0.0.1:1"  # named, and never asked
    environment = clean_environment(tmp_path / "home", PYTHONPATH=str(extended), BATCH_ROUTER_REDIS_URL=url)
    command = [sys.executable, str(HERE / "use.py"), str(tmp_path / "home")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["answers"] == [[f"say {number}", 5] for number in range(3)]
    assert (found["stamps"], found["task"]) == (1, True)
    assert found["road"] == ["downloading", "stamping", "normalizing", "cleaning"]
