"""`python -m tests.vllm.bench VENV MODEL [ROWS]`: what we add to bare `vllm run-batch`, on the real vLLM on CPU.

Ratios of wall times in one run: a large file against one bare run over it; ten files of 50 rows, one after the other
on one model, against ten bare runs over 50 rows (one is measured). Prints JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.vllm.real import FOLDER_VARIABLE, Real, environment

LARGE = 2000
SMALL, BATCHES = 50, 10


def main(venv: Path, model: Path, large: int) -> None:
    """Measure, and print."""
    os.environ[FOLDER_VARIABLE] = str(venv)
    os.environ.update(environment())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["BATCH_ROUTER_HOME"] = str(folder / "home")
        measured = {"bare_small_s": _bare(folder, model, SMALL), "bare_large_s": _bare(folder, model, large)}
        for engine in ("serve", "run-batch"):
            measured[f"{engine}_large_s"] = _ours(folder, model, engine, large, 1)
            measured[f"{engine}_large_ratio"] = measured[f"{engine}_large_s"] / measured["bare_large_s"]
        measured["serve_small_s"] = _ours(folder, model, "serve", SMALL, BATCHES)
        measured["serve_small_ratio"] = measured["serve_small_s"] / (BATCHES * measured["bare_small_s"])
    print(json.dumps({name: round(value, 3) for name, value in measured.items()}, indent=2))


def _bare(folder: Path, model: Path, rows: int) -> float:
    real = Real(folder / "bare.jsonl", model, "run-batch")
    real.write(rows)
    command = [os.environ["BATCH_ROUTER_VLLM_COMMAND"], "run-batch", "-i", real.rows, "-o", folder / "bare-out.jsonl"]
    options = ["--model", model, "--served-model-name", "tiny", "--enforce-eager", "--max-model-len", "512"]
    since = time.monotonic()
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - since


def _ours(folder: Path, model: Path, engine: str, rows: int, batches: int) -> float:
    real = Real(folder / "ours.jsonl", model, engine)
    real.write(rows)
    since = time.monotonic()
    for _ in range(batches):
        job = real.client.create(real.rows, real.spec())
        real.client.delete(job)
    took = time.monotonic() - since
    real.client.close()
    return took


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute(), int(sys.argv[3]) if sys.argv[3:] else LARGE)
