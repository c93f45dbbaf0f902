"""`python -m tests.vllm.bench VENV [smollm2] [--small]`: what we add to bare `vllm run-batch`, on the real vLLM on CPU.

Wall times of the whole road, from submit to the finished batch, by a worker that has no engine yet. A large file: each
time in turn with a bare run over the same file; the median of the pairs counts. Ten files of 50 rows on one model,
submitted together: against ten times a bare run over 50 rows. The tiny model's rows cost next to nothing, so that all
that we add shows. With `smollm2` it is a model of 135 M parameters, and the large file only. With `--small` every part
runs over few rows, and the figures mean nothing. Prints what it found, and leaves it in `build/bench-vllm.json`.
"""

import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.vllm.demo import small_model
from tests.vllm.real import FOLDER_VARIABLE, environment
from tests.vllm.road import gpu_worker

TOKENS = 32
OPTIONS = {"enforce-eager": True, "max-model-len": 512}
#: What the ratios must stay below.
BOUNDS = {"serve_large_ratio": 1.05, "serve_few_ratio": 0.35}


class Sizes(NamedTuple):
    """Sizes of a run: `large` rows in one file, in `pairs` of runs; `batches` of `few` rows."""

    large: int
    pairs: int = 3
    few: int = 50
    batches: int = 10


FULL, SMOLLM2, SMALL = Sizes(2000), Sizes(100), Sizes(large=6, pairs=1, few=2, batches=2)


def main(venv: Path, sizes: Sizes, *, smollm2: bool) -> int:
    """Measure, and print; 0 if the bounds are kept."""
    os.environ[FOLDER_VARIABLE] = str(venv)
    model = small_model(venv) if smollm2 else _tiny_model(venv)
    # Bare vLLM calls a model by its path.
    ours = {"BATCH_ROUTER_VLLM_OPTIONS": OPTIONS, "BATCH_ROUTER_VLLM_MODELS": {str(model): str(model)}}
    os.environ.update(environment() | {name: json.dumps(value) for name, value in ours.items()})
    seconds: dict[str, list[float]] = {}

    def note(name: str, took: float) -> float:
        seconds.setdefault(name, []).append(round(took, 1))
        print(f"{name}: {took:.1f} s", flush=True)
        return took

    with tempfile.TemporaryDirectory(prefix="bench-vllm-") as name:
        large = _write(Path(name) / "large.jsonl", model, sizes.large)
        pairs = [
            (note("bare_large", _bare(large, model)), note("serve_large", _road("serve", large)))
            for _ in range(sizes.pairs)
        ]
        figures = {"serve_large_ratio": statistics.median(ours / bare for bare, ours in pairs)}
        if not smollm2:
            few = _write(Path(name) / "few.jsonl", model, sizes.few)
            bare = note("bare_few", _bare(few, model))
            together = note("serve_few", _road("serve", few, sizes.batches))
            figures["serve_few_ratio"] = together / sizes.batches / bare
            whole = note("run-batch_large", _road("run-batch", large))
            figures["run-batch_large_ratio"] = whole / statistics.median(seconds["bare_large"])
    figures = {name: round(value, 3) for name, value in figures.items()}
    report = json.dumps({"model": model.name, **figures, "bounds": BOUNDS, "seconds": seconds}, indent=2)
    Path("build").mkdir(exist_ok=True)
    Path("build/bench-vllm.json").write_text(report)
    print(report)
    return int(any(value > BOUNDS.get(name, math.inf) for name, value in figures.items()))


def _write(path: Path, model: Path, rows: int) -> Path:
    """An OpenAI batch file, which both sides read as it is."""
    lines = []
    for number in range(rows):
        messages = [{"role": "user", "content": f"Count to {number}"}]
        body = {"model": str(model), "messages": messages, "max_completion_tokens": TOKENS, "ignore_eos": True}
        row = {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body}
        lines.append(msgspec.json.encode(row) + b"\n")
    path.write_bytes(b"".join(lines))
    return path


def _bare(rows: Path, model: Path) -> float:
    command = [
        os.environ["BATCH_ROUTER_VLLM_COMMAND"],
        "run-batch",
        "-i",
        str(rows),
        "-o",
        str(rows.with_suffix(".out")),
    ]
    flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in OPTIONS.items()]
    since = time.monotonic()
    command = [*command, "-o", str(rows.with_suffix(".out")), "--model", str(model), *flags]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, start_new_session=True, stdout=quiet, stderr=quiet) as process:
        try:
            code = process.wait()
        finally:
            with suppress(ProcessLookupError):  # its engine lives on if it is killed
                os.killpg(process.pid, signal.SIGKILL)
    took = time.monotonic() - since
    if code:
        raise SystemExit(f"the bare run ended with exit code {code}")
    return took


def _road(engine: str, rows: Path, batches: int = 1) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-vllm-") as home:
        os.environ |= {"BATCH_ROUTER_HOME": home, "BATCH_ROUTER_VLLM_ENGINE": engine}
        with gpu_worker(Path(home)) as client:
            since = time.monotonic()
            submitted = [client.submit("vllm", input=str(rows)) for _ in range(batches)]
            ended = [client.wait(batch_id, timeout=1800) for batch_id in submitted]
            took = time.monotonic() - since
    assert all(status.request_counts.succeeded == status.request_counts.total for status in ended)
    return took


def _tiny_model(venv: Path) -> Path:
    folder = venv / "tiny"
    if not (folder / "config.json").exists():
        script = Path(__file__).with_name("tiny_model.py")
        subprocess.run([venv / "bin" / "python", script, folder], check=True)
    return folder


if __name__ == "__main__":
    with_smollm2, is_small = ("smollm2" in sys.argv[2:]), ("--small" in sys.argv[2:])
    chosen = SMALL if is_small else SMOLLM2 if with_smollm2 else FULL
    code = main(Path(sys.argv[1]).absolute(), chosen, smollm2=with_smollm2)
    sys.exit(0 if is_small else code)
