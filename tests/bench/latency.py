"""One row from `delay` to its result through real workers: `python -m tests.bench.latency RUNS`, in a stack's home."""

import sys
import time

from batch_router import BatchClient
from batch_router.worker import submit_batch

if __name__ == "__main__":
    client = BatchClient()
    for _ in range(int(sys.argv[1])):
        start = time.perf_counter()
        job = submit_batch.delay("openai", model="gpt-5-mini", requests=[{"custom_id": "a", "prompt": "Hello"}])
        client.wait(job.id)
        results = list(client.results(job.id))
        assert [result.status for result in results] == ["succeeded"]
        print(time.perf_counter() - start)
