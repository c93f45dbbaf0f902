"""What the Makefile does, at a small size: nothing that it names is broken unseen."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from tests.e2e.stack import clean_environment

ROOT = Path(__file__).parent.parent
TARGETS = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def make(*arguments: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `make` with this interpreter's environment, which it does not make again."""
    # Under `make test` this is a make inside a make, which would name its folder first.
    command = ["make", "--no-print-directory", "-o", ".venv", f"BIN={Path(sys.executable).parent}", *arguments]
    environment = clean_environment(home, **variables)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=170)


def test_the_targets_name_what_there_is(tmp_path: Path) -> None:
    """Every module that a target runs, and every path of the tests that it names, exists."""
    shown = make("-n", *TARGETS, home=tmp_path)
    assert shown.returncode == 0, shown.stderr
    modules = set(re.findall(r"-m (tests[\w.]*)", shown.stdout))
    paths = set(re.findall(r"(?<![\w.])tests/\S*", shown.stdout))
    assert {module for module in modules if not find_spec(module)} == set()
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    assert modules
    assert paths


def test_the_bench_runs_in_all_its_parts(tmp_path: Path) -> None:
    """`make bench SMALL=1` measures every figure, prints the table, and writes build/bench.json."""
    report = ROOT / "build" / "bench.json"
    report.unlink(missing_ok=True)
    done = make("bench", "SMALL=1", home=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {name.partition(" ")[0] for name in msgspec.json.decode(report.read_bytes())}
    assert names >= {"encode_ratio", "decode_ratio", "image_ratio", "convert_ratio", "normalize_ratio"}
    assert names >= {"bytes_per_row", "transfer_mb", "latency_s"}
    assert done.stdout.startswith(("make bench", f"{Path(sys.executable).parent}/python -m tests.bench --small"))


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder that looks like the venv with the real vLLM, but has the stand-in for its executable."""
    folder = tmp_path / "vllm"
    for model in ("tiny", "smollm2"):
        (folder / model).mkdir(parents=True)
        (folder / model / "config.json").write_text("{}")
    (folder / "bin").mkdir()
    program = folder / "bin" / "vllm"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m batch_router.simulator.vllm "$@"\n')
    program.chmod(0o755)
    (folder / ".installed").touch()
    return folder


@pytest.mark.parametrize(("target", "shown"), [("demo-vllm", "succeeded=5"), ("bench-vllm", '"serve_large_ratio": ')])
def test_what_runs_on_vllm_runs_on_its_stand_in(target: str, shown: str, stand_in: Path, tmp_path: Path) -> None:
    """`make demo-vllm` and `make bench-vllm` go all the way, with the stand-in in the place of the engine."""
    done = make(target, f"VLLM={stand_in}", "SMALL=1", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout


def test_the_tests_of_the_real_vllm_can_be_collected(tmp_path: Path) -> None:
    """What `make test-vllm` runs imports; whether it passes is known only where the real vLLM is."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/vllm"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
