"""Type checkers: both common ones agree on what the public surface takes."""

import json
import subprocess
import sys
from pathlib import Path

from .conftest import ROOT

CALLS = ROOT / "tests" / "typed_calls.py"


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_mypy_refuses_wrong_calls_and_no_others() -> None:
    """A wrong call without an error is an unused `type: ignore`, which strict mypy reports."""
    assert run("mypy", "--strict", str(CALLS)) == ""


def test_pyright_refuses_wrong_calls_and_no_others(tmp_path: Path) -> None:
    """Strict Pyright, with its own comments only, and none of them unnecessary."""
    config = {
        "include": [str(CALLS)],
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": False,
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    assert run("basedpyright", "--pythonpath", sys.executable, "--project", str(tmp_path)) == ""
