"""Both engines over the real vLLM, with a tiny model: its answers, its bad rows, kills, cancelling."""

import threading
import time
from typing import Any

import psutil
import pytest

from batch_router.core import BatchStatus
from batch_router.core.jobs import Job
from batch_router.exceptions import ProviderUnavailableError
from batch_router.providers import VLLMProvider
from batch_router.providers.vllm import EngineOptionError, ModelNotFoundError
from batch_router.settings import Settings
from tests.vllm.real import Real

BAD: dict[str, Any] = {
    "row_3": {"messages": []},
    "row_10": {"messages": [{"role": "user", "content": "much " * 4000}]},
    "row_20": {"model": "unknown"},
    "row_30": {"temperature": "hot"},
    "row_40": {"messages": "hi"},
    "row_45": {"n": -1},
}


def test_good_rows_are_answered_and_bad_ones_fail_alone(real: Real) -> None:
    """What vLLM refuses row by row, and what it would abort the whole run on."""
    real.write(56, **BAD)
    answers = real.answers(real.client.create(real.file_rows(), real.spec()))
    assert sorted(answers) == list(range(56))
    failed = {f"row_{number}" for number, row in answers.items() if row["response"]["body"] is None}
    assert failed == set(BAD)


def test_a_killed_worker_costs_only_what_was_under_way(real: Real) -> None:
    """Its engine ends with it, and the next run answers the rows that are left."""
    real.write(200, tokens=200)
    with real.worker() as worker:
        if real.engine == "serve":
            real.wait_until(lambda: real.answered() >= 3)
        else:
            real.wait_until(lambda: any("EngineCore" in word for word in words(real)))
        worker.kill()
    real.wait_until(lambda: not real.processes(), 30)
    before = real.answered()
    answers = real.answers(real.client.create(real.file_rows(), real.spec()))
    assert sorted(answers) == list(range(200))
    assert all(row["response"]["status_code"] == 200 for row in answers.values())
    assert real.engine == "run-batch" or before >= 3


def test_a_killed_engine_costs_no_row(real: Real) -> None:
    """What was under way is no row's fault: at once, or when the job is tried again, all are answered."""
    real.write(200, tokens=200)
    ended: list[Job | ProviderUnavailableError] = []

    def work() -> None:
        try:
            ended.append(real.client.create(real.file_rows(), real.spec()))
        except ProviderUnavailableError as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    if real.engine == "serve":
        real.wait_until(lambda: real.answered() >= 3)
    else:
        real.wait_until(lambda: any("EngineCore" in word for word in words(real)))
    for pid in real.processes():
        if "EngineCore" in " ".join(psutil.Process(pid).cmdline()):
            psutil.Process(pid).kill()
    thread.join(170)
    (end,) = ended
    job = end if isinstance(end, Job) else real.client.create(real.file_rows(), real.spec())
    answers = real.answers(job)
    assert sorted(answers) == list(range(200))
    assert all(row["response"]["status_code"] == 200 for row in answers.values())


def test_what_outlives_worker_and_guard_is_ended(real: Real) -> None:
    """The real engine lives on by itself; the next worker ends it."""
    real.write(200, tokens=400)
    with real.worker() as worker:
        real.wait_until(lambda: any("EngineCore" in word for word in words(real)))
        psutil.Process(worker.pid).suspend()  # it would notice, and try again
        for pid in real.processes():
            if "guard.py" in " ".join(psutil.Process(pid).cmdline()):
                psutil.Process(pid).kill()
        worker.kill()
    assert real.processes() != []
    if real.engine == "serve":
        real.end_leftovers()
    else:
        real.client.create(real.file_rows(), real.spec())
    assert real.processes() == []


def test_a_cancelled_job_ends_in_time_and_keeps_its_answers(real: Real) -> None:
    """Within fifteen seconds its engine is gone."""
    real.write(400, tokens=400)
    ended: list[Job] = []
    thread = threading.Thread(target=lambda: ended.append(real.client.create(real.file_rows(), real.spec())))
    thread.start()
    real.wait_until(lambda: real.client.get(real.name).completed > 0)
    since = time.monotonic()
    real.client.cancel(real.name)
    thread.join(60)
    assert time.monotonic() - since < 15
    (job,) = ended
    assert job.status is BatchStatus.CANCELLED
    assert real.processes() == []
    assert len(real.answers(job)) >= (real.engine == "serve")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"vllm_args": {"no-such-option": 1}}, EngineOptionError),
        ({"model_path": "/nowhere/model"}, ModelNotFoundError),
        ({"model_path": "nobody/knows-this"}, ModelNotFoundError),
    ],
)
def test_what_cannot_work_says_why(real: Real, arguments: dict[str, object], error: type[Exception]) -> None:
    """An unknown option, a model that is not there."""
    real.write(1)
    given = {"model_path": str(real.model), "engine": real.engine} | arguments
    client = VLLMProvider(**given).connect(Settings.from_env())  # type: ignore[arg-type]
    with pytest.raises(error):
        client.create(real.file_rows(), real.spec())
    client.close()


def words(real: Real) -> list[str]:
    found = []
    for pid in real.processes():
        try:
            found.append(" ".join(psutil.Process(pid).cmdline()))
        except psutil.Error:
            continue
    return found
