"""The simulator's CPU time per row, against the bare loop: one job of OpenAI's, from the upload to the download.

The client, `python -m tests.bench.simulated URL FILE`, is a process of its own and does not count.
"""

import subprocess
import sys
import time
from pathlib import Path

import openai

from batch_router.simulator import Simulator

from .rows import lines_of, native_request, write_requests


def spent_on(home: Path, rows: int) -> tuple[float, Path]:
    """CPU seconds of a simulator that takes, answers and returns so many rows, and the file of these."""
    path = home / "rows.jsonl"
    write_requests(path, rows, native_request)
    with Simulator(directory=home / "simulator") as simulator:
        start = time.process_time()
        command = [sys.executable, "-m", "tests.bench.simulated", simulator.url, str(path)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        spent = time.process_time() - start
    assert int(done.stdout) == rows
    return spent, path


def send_and_fetch(url: str, path: Path) -> int:
    """How many answers the rows of a file get."""
    client = openai.OpenAI(api_key="k", base_url=f"{url}/openai/v1", max_retries=0)
    uploaded = client.files.create(file=path, purpose="batch")
    job = client.batches.create(input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h")
    while job.output_file_id is None:
        job = client.batches.retrieve(job.id)
    answers = path.with_suffix(".answers")
    with client.files.with_streaming_response.content(job.output_file_id) as answer:
        answer.stream_to_file(answers, chunk_size=1 << 18)
    return sum(1 for _ in lines_of(answers))


if __name__ == "__main__":
    print(send_and_fetch(sys.argv[1], Path(sys.argv[2])))
