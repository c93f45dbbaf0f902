"""`python -m tests.vllm.bench VENV [small]`: what we add to bare `vllm run-batch`, on the real vLLM on CPU.

Wall times of the whole road, from submit to the finished batch, by a worker that has no engine yet. A large file: each
time in turn with a bare run over the same file. Ten files of 50 rows on one model, submitted together: against ten
times a bare run over 50 rows. With a model whose rows cost next to nothing, or with `small` one of 135 M parameters.
Prints the medians, and leaves them in `build/bench-vllm.json`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tests.vllm.demo import small_model
from tests.vllm.real import FOLDER_VARIABLE, environment
from tests.vllm.road import gpu_worker

PAIRS = 3
FEW, BATCHES = 50, 10
#: Rows of the large file, and tokens per answer: two minutes of work with the model of 135 M parameters.
TINY, SMALL = (2000, 32), (1000, 64)
OPTIONS = {"enforce-eager": True, "max-model-len": 512}
#: What the ratios must stay below.
BOUNDS = {"serve_large_ratio": 1.05, "serve_few_ratio": 0.35}


def main(venv: Path, *, small: bool) -> int:
    """Measure, and print; 0 if the bounds are kept."""
    os.environ[FOLDER_VARIABLE] = str(venv)
    os.environ.update(environment() | {"BATCH_ROUTER_VLLM_OPTIONS": json.dumps(OPTIONS)})
    model = small_model(venv) if small else _tiny_model(venv)
    count, tokens = SMALL if small else TINY
    seconds: dict[str, list[float]] = {}

    def note(name: str, took: float) -> None:
        seconds.setdefault(name, []).append(took)
        print(f"{name}: {took:.1f} s", flush=True)

    with tempfile.TemporaryDirectory(prefix="bench-vllm-") as name:
        large, few = Path(name) / "large.jsonl", Path(name) / "few.jsonl"
        large.write_bytes(_rows(model, count, tokens))
        few.write_bytes(_rows(model, FEW, tokens))
        for _ in range(PAIRS):
            note("bare_large", _bare(large, model))
            note("serve_large", _road("serve", large))
        for _ in range(PAIRS):
            note("bare_few", _bare(few, model))
            note("serve_few", _road("serve", few, BATCHES))
        note("run-batch_large", _road("run-batch", large))
    pairs = zip(seconds["serve_large"], seconds["bare_large"], strict=True)
    bare = statistics.median(seconds["bare_large"])
    figures = {
        "serve_large_ratio": statistics.median(ours / theirs for ours, theirs in pairs),
        "run-batch_large_ratio": seconds["run-batch_large"][0] / bare,
        "serve_few_ratio": statistics.median(seconds["serve_few"]) / statistics.median(seconds["bare_few"]) / BATCHES,
    }
    figures = {name: round(value, 3) for name, value in figures.items()}
    told = json.dumps({"model": model.name, "rows": count, **figures, "bounds": BOUNDS, "seconds": seconds}, indent=2)
    Path("build").mkdir(exist_ok=True)
    Path("build/bench-vllm.json").write_text(told)
    print(told)
    return int(any(figures[name] > bound for name, bound in BOUNDS.items()))


def _rows(model: Path, count: int, tokens: int) -> bytes:
    """An OpenAI batch file, which both sides read as it is."""
    lines = []
    for number in range(count):
        messages = [{"role": "user", "content": f"Count to {number}"}]
        body = {"model": str(model), "messages": messages, "max_completion_tokens": tokens, "ignore_eos": True}
        row = {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body}
        lines.append(msgspec.json.encode(row) + b"\n")
    return b"".join(lines)


def _bare(rows: Path, model: Path) -> float:
    command = [os.environ["BATCH_ROUTER_VLLM_COMMAND"], "run-batch", "-i", rows, "-o", rows.with_suffix(".out")]
    options = [
        "--model",
        model,
        *(f"--{name}" if value is True else f"--{name}={value}" for name, value in OPTIONS.items()),
    ]
    since = time.monotonic()
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - since


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
    script = Path(__file__).with_name("tiny_model.py")
    subprocess.run([venv / "bin" / "python", script, folder], check=True)
    return folder


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute(), small="small" in sys.argv[2:]))
