"""What one poll costs a real worker, in bare GETs of the same SDK: CPU time of the worker's process over its polls.

What else the worker does for a poll counts, too: its message, its events, the sweep.
"""

import os
import time
from pathlib import Path

import openai

from ..e2e.stack import Stack, processes_of, run_stack

_SLOW = "[latency]\nin_progress = 86400\n"
_GETS = 100


def poll_cost(home: Path, jobs: int, seconds: float) -> tuple[float, float]:
    """CPU seconds of a poll, and of a bare GET, while a worker looks for so long at so many young jobs."""
    with run_stack(home, _SLOW, "io", "cpu") as stack:
        for _ in range(jobs):
            stack.client.submit("openai", model="gpt-5-mini", requests=[{"custom_id": "a", "prompt": "Hello"}])
        while _requests(home, "POST", "/batches") < jobs:
            time.sleep(0.5)
        spent, polls = _worker_cpu(home), _requests(home, "GET", "/batches/")
        time.sleep(seconds)
        spent, polls = _worker_cpu(home) - spent, _requests(home, "GET", "/batches/") - polls
        return spent / polls, _bare_get(stack)


def _bare_get(stack: Stack) -> float:
    with openai.OpenAI(api_key="k", base_url=f"{stack.simulator_url}/openai/v1", max_retries=0) as client:
        job = client.batches.list(limit=1).data[0].id
        start = time.process_time()
        for _ in range(_GETS):
            client.batches.retrieve(job)
        return (time.process_time() - start) / _GETS


def _requests(home: Path, method: str, path: str) -> int:
    pattern = f'"method": "{method}", "path": "/openai/v1{path}'.encode()
    logs = home.rglob("requests.jsonl")  # there is none before the first request
    return sum(log.read_bytes().count(pattern) for log in logs)


def _worker_cpu(home: Path) -> float:
    """User and system time of the stack's workers (Linux)."""
    workers = [pid for pid, command in processes_of(home).items() if " worker " in command]
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in workers)
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")
