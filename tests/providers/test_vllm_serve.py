"""Rows over HTTP: the serve engine over real servers of the stand-in."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from batch_router.core import BatchStatus, ErrorType
from batch_router.core.jobs import Job
from batch_router.exceptions import CredentialsError, JobInterruptedError, ProviderUnavailableError, RequestRefusedError
from batch_router.providers.vllm import ModelNotFoundError
from batch_router.providers.vllm.client import VLLMClient
from batch_router.providers.vllm.process.leftovers import end_leftover_servers
from batch_router.providers.vllm.serve.sending import CONCURRENCY
from tests.providers.vllm_runs import LABEL, STAND_IN, Runs, decode, read, request, runs, wire

__all__ = ["runs"]


def create(runs: Runs, client: VLLMClient) -> Job:
    return client.create(runs.file_rows(), runs.spec())


def ids(client: VLLMClient, job: Job) -> list[str]:
    return sorted((row["custom_id"] for row in read(client, job)), key=lambda row_id: int(row_id.rpartition("-")[2]))


def all_ids(count: int) -> list[str]:
    return [f"{LABEL}-{n}" for n in range(count)]


def test_rows_are_answered_and_the_server_stays(runs: Runs) -> None:
    """The second job of a model finds it loaded; closing the client ends it."""
    runs.write(30)
    client = runs.client(engine="serve")
    job = create(runs, client)
    assert ids(client, job) == all_ids(30)
    first = runs.engines()
    client.delete(job)
    assert ids(client, create(runs, client)) == all_ids(30)
    assert runs.engines() == first != []
    client.close()
    assert runs.engines() == []


def test_another_model_takes_its_place(runs: Runs) -> None:
    """One model is loaded at a time."""
    runs.write(0)
    client = runs.client(engine="serve")
    runs.rows.write_bytes(wire(request(model="a")))
    client.delete(client.create(runs.file_rows(), runs.spec("a")))
    runs.rows.write_bytes(wire(request(model="b")))
    job = client.create(runs.file_rows(), runs.spec("b"))
    assert [row["error"] for row in read(client, job)] == [None]
    assert client.loaded() == ("b", {})
    servers = [pid for pid in runs.engines() if "serve" in psutil.Process(pid).cmdline()]
    assert {psutil.Process(pid).cmdline()[psutil.Process(pid).cmdline().index("serve") + 1] for pid in servers} == {"b"}


def test_bad_rows_fail_alone(runs: Runs) -> None:
    """What vLLM refuses, what it would abort on, and a row that takes the engine down."""
    runs.write(40)
    bad = wire(request(provider_kwargs={"temperature": "hot"}), f"{LABEL}-40")
    odd = wire(request(provider_kwargs={"messages": []}), f"{LABEL}-41")
    runs.rows.write_bytes(runs.rows.read_bytes() + bad + odd)
    runs.scenario('poison = "say 7$"\n')
    client = runs.client(engine="serve")
    job = create(runs, client)
    assert ids(client, job) == all_ids(42)
    results = [decode(row) for row in read(client, job)]
    failed = {result.custom_id.rpartition("-")[2]: result.error.type for result in results if result.error}
    assert failed == {"7": ErrorType.SERVER, "40": ErrorType.INVALID_REQUEST, "41": ErrorType.INVALID_REQUEST}


def test_bad_rows_take_no_place_of_good_ones(runs: Runs) -> None:
    """Even if more bad rows follow each other than rows are sent at a time, the good ones behind them are answered."""
    bad, good = CONCURRENCY + 10, 3
    lines = [wire(request("bad", generation_config=None), f"{LABEL}-{n}") for n in range(bad)]
    lines = [line.replace(b'"messages":[', b'"messages":["no message",') for line in lines]
    lines += [wire(request(f"say {n}"), f"{LABEL}-{n}") for n in range(bad, bad + good)]
    runs.rows.write_bytes(b"".join(lines))
    client = runs.client(engine="serve")
    job = create(runs, client)
    assert ids(client, job) == all_ids(bad + good)
    assert sum(row["error"] is None for row in read(client, job)) == good


def test_a_key_of_another_server_is_not_asked_for(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """`VLLM_API_KEY` is for a server elsewhere; one of ours has a key of its own, and no proxy before it."""
    monkeypatch.setenv("VLLM_API_KEY", "another-server's")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    runs.write(3)
    client = runs.client(engine="serve")
    assert ids(client, create(runs, client)) == all_ids(3)


def test_an_engine_that_no_row_survives_is_given_up(runs: Runs) -> None:
    """It does not go on for ever."""
    runs.write(5)
    runs.scenario('poison = "say"\n')
    with pytest.raises(RequestRefusedError, match="breaks down on every row"):
        create(runs, runs.client(engine="serve"))
    assert runs.engines() == []


@pytest.mark.parametrize("rows", [1, 2])
def test_the_last_rows_may_break_it_down(runs: Runs, rows: int) -> None:
    """No row is left after them that could be tried: each gets its error, and the job ends."""
    runs.write(rows)
    runs.scenario('poison = "say"\n')
    client = runs.client(engine="serve")
    job = create(runs, client)
    assert ids(client, job) == all_ids(rows)
    assert all(row["error"] for row in read(client, job))


def test_what_was_answered_stays_when_the_job_is_given_up(runs: Runs) -> None:
    """It is the job's, and nothing of it runs again."""
    runs.write(8)
    runs.scenario('poison = "say [4567]"\n')
    client = runs.client(engine="serve")
    with pytest.raises(RequestRefusedError, match="breaks down on every row"):
        create(runs, client)
    job = client.keep_answers(runs.name)
    assert job.status is BatchStatus.COMPLETED
    assert sorted(row["custom_id"] for row in read(client, job) if row["error"] is None) == all_ids(4)
    assert create(runs, client) == job


def test_a_server_without_room_is_waited_for(runs: Runs) -> None:
    """That is no matter of the row: the others come to their end, and the row is asked again next time."""
    runs.write(20)
    runs.scenario('[[refuse]]\nmatch = "say 3$"\nstatus = 503\n')
    client = runs.client(engine="serve")
    with pytest.raises(ProviderUnavailableError, match="takes no rows at present") as raised:
        create(runs, client)
    assert (raised.value.status_code, raised.value.retryable) == (503, True)
    first = runs.engines()
    (part,) = runs.folder.glob("*.part-*")
    assert part.read_bytes().count(b"\n") == 19
    runs.scenario("")
    job = create(runs, client)
    assert (ids(client, job), runs.engines()) == (all_ids(20), first)
    assert not any(row["error"] for row in read(client, job))


def test_a_killed_server_costs_the_rows_under_way(runs: Runs) -> None:
    """The next try goes on with the rows that are left, whatever the journal's last line looks like."""
    runs.write(60)
    runs.scenario("[latency]\nin_progress = 20\n")
    client = runs.client(engine="serve")
    failed: list[Exception] = []

    def first() -> None:
        try:
            create(runs, client)
        except ProviderUnavailableError as error:
            failed.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    runs.wait_for_answers(3)
    for pid in runs.engines():
        os.kill(pid, signal.SIGKILL)
    thread.join(30)
    assert "ended from outside" in str(failed[0])
    (part,) = runs.folder.glob("*.part-*")
    kept = part.read_bytes()
    with part.open("ab") as torn:
        torn.write(b'{"id": "", "custom_id": "torn')
    runs.scenario("")
    job = create(runs, client)
    assert ids(client, job) == all_ids(60)
    assert (runs.home / job.outputs[0]).read_bytes().startswith(kept)


# Connections are used again only where there are fewer of them than rows.
_FIVE_AT_A_TIME = f"""
import sys
from pathlib import Path
from batch_router.core.jobs import JobSpec
from batch_router.providers.vllm.client import VLLMClient
from batch_router.providers.vllm.engines import Engines, Setup
from tests.file_rows import FileRows

home, rows = Path(sys.argv[2]), FileRows(Path(sys.argv[2], sys.argv[3]), sys.argv[3])
client = VLLMClient(Engines(Setup("serve", sys.argv[1].split(), {{}}, home / "engines", concurrency=5)), home)
client.create(rows, JobSpec(label="{LABEL}", model="m", rows=60, upload=rows.name))
client.close()
"""


def test_a_worker_that_is_held_up_meets_no_closed_connection(runs: Runs) -> None:
    """A server left to itself closes what is idle for five seconds; a row just sent there looks like a breakdown."""
    runs.write(60)
    runs.scenario("[latency]\nin_progress = 10\n")
    with subprocess.Popen([sys.executable, "-c", _FIVE_AT_A_TIME, STAND_IN, str(runs.home), runs.name]) as worker:
        try:
            runs.wait_for_answers(10)
            worker.send_signal(signal.SIGSTOP)
            time.sleep(7)
            worker.send_signal(signal.SIGCONT)
            assert worker.wait(30) == 0
        finally:
            worker.kill()


@pytest.mark.parametrize("how", ["cancel", "interrupt"])
def test_a_job_that_is_to_end_keeps_its_answers(runs: Runs, how: str) -> None:
    """The server is gone then."""
    runs.write(60)
    runs.scenario("[latency]\nin_progress = 60\n")
    client = runs.client(engine="serve")
    ended: list[Job | Exception] = []

    def work() -> None:
        try:
            ended.append(create(runs, client))
        except JobInterruptedError as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    runs.wait_for_answers(2)
    getattr(client, how)(runs.name)
    thread.join(30)
    assert runs.engines() == []
    (end,) = ended
    if isinstance(end, Job):
        assert (how, end.status) == ("cancel", BatchStatus.CANCELLED)
        assert 2 <= len(read(client, end)) < 60
    else:
        assert how == "interrupt"
        runs.scenario("")
        assert ids(client, create(runs, client)) == all_ids(60)


def test_a_server_that_does_not_come_up_says_why(runs: Runs) -> None:
    """Its last words are in the error."""
    runs.write(1)
    runs.scenario('fail_job = "the bus fell off"\n')
    with pytest.raises(ProviderUnavailableError, match="exit code 1: RuntimeError: the bus fell off"):
        create(runs, runs.client(engine="serve"))


def test_a_server_elsewhere(runs: Runs) -> None:
    """Nothing is started here; its key and its models are checked before the rows are sent."""
    runs.write(10)
    with server_elsewhere(runs) as url:
        client = runs.client(base_url=f"{url}/v1", api_key="right")
        job = create(runs, client)
        assert ids(client, job) == all_ids(10)
        client.delete(job)
        with pytest.raises(CredentialsError, match="set VLLM_API_KEY"):
            create(runs, runs.client(base_url=url, api_key="wrong"))
        with pytest.raises(ModelNotFoundError, match="has no model 'other'; it has"):
            client.create(runs.file_rows(), runs.spec("other"))


def test_a_server_elsewhere_is_reached_by_the_proxy(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the environment says, for the look at its models and for the rows alike; here it is the proxy itself."""
    runs.write(3)
    with server_elsewhere(runs) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        client = runs.client(base_url="http://gpus.invalid:8000", api_key="right")
        assert ids(client, create(runs, client)) == all_ids(3)


def test_a_row_of_megabytes(runs: Runs) -> None:
    """One with images, say."""
    runs.rows.write_bytes(wire(request("x" * 3_000_000)))
    client = runs.client(engine="serve")
    (row,) = read(client, create(runs, client))
    assert row["error"] is None


@contextmanager
def server_elsewhere(runs: Runs) -> Iterator[str]:
    """The URL of one whose key is `right`, once it answers."""
    runs.scenario('keys = ["right"]\n')
    port = free_port()
    command = [*STAND_IN.split(), "serve", "m", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command) as elsewhere:
        try:
            deadline = time.monotonic() + 30
            while not answers(port):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            elsewhere.terminate()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_only_servers_of_dead_workers_are_ended(runs: Runs) -> None:
    """A worker holds the lock of its server for as long as it lives."""
    runs.write(1)
    client = runs.client(engine="serve")
    create(runs, client)
    before = runs.engines()
    look = "import sys; from pathlib import Path; from batch_router.providers.vllm.process import leftovers; "
    program = look + "leftovers.end_leftover_servers(Path(sys.argv[1]))"
    folder = runs.home / "engines"
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True)
    assert runs.engines() == before != []
    for lock in folder.glob("*.lock"):
        lock.rename(lock.with_suffix(".held"))  # as if no process held it
        lock.touch()
    end_leftover_servers(folder)
    assert runs.engines() == []
