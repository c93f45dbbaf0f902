"""What operators may say: Celery settings that override ours, queues, options of the `celery` program."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis

from batch_router.connect import open_store
from batch_router.settings import Settings

from .fleet import celery, environment_of, worker

ROOT = Path(__file__).parents[2]
OVERRIDES = 'worker_prefetch_multiplier = 3\nbroker_transport_options = {"visibility_timeout": 77}\n'


@pytest.fixture
def environment(tmp_path: Path, valkey: str) -> dict[str, str]:
    """A fleet's, of databases that are empty."""
    with redis.Redis.from_url(valkey) as server:
        for database in (8, 9):
            server.execute_command("SELECT", database)
            server.flushdb()
    (tmp_path / "fleet").mkdir()
    return environment_of(tmp_path / "fleet", valkey.replace("/0", "/8"))


def ask(environment: dict[str, str], app: str, command: str, cwd: Path) -> Any:
    """The one worker's answer to `celery inspect`."""
    arguments = celery("-A", app, "inspect", command, "--json")
    done = subprocess.run(arguments, env=environment, cwd=cwd, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout).values()
    return answer


def start(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A worker that does not come up."""
    command = celery(*arguments)
    cwd = environment["BATCH_ROUTER_HOME"]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("app", ["workers.app", "batch_router.worker"])
def test_celerys_settings_can_be_overridden(environment: dict[str, str], tmp_path: Path, app: str) -> None:
    """In the checkout's `celeryconfig.py`, or a module that a variable names; a dictionary is merged into ours."""
    if app == "workers.app":
        shutil.copytree(ROOT / "workers", tmp_path / "workers")
        (tmp_path / "celeryconfig.py").write_text((ROOT / "celeryconfig.py").read_text() + OVERRIDES)
    else:
        (tmp_path / "operators.py").write_text(OVERRIDES)
        environment |= {"BATCH_ROUTER_CELERY_CONFIG": "operators", "PYTHONPATH": str(tmp_path)}
    with worker(environment, app=app, cwd=tmp_path):
        assert ask(environment, app, "stats", tmp_path)["prefetch_count"] == 3 * 4
        options = ask(environment, app, "conf", tmp_path)["broker_transport_options"]
    assert options["visibility_timeout"] == 77
    assert options["socket_timeout"] == 30


def test_a_variable_of_celery_does_not_move_a_worker(environment: dict[str, str]) -> None:
    """With the host's variables and its `celeryconfig.py` around it, the worker listens where ours says.

    Celery's program has a variable for each option: one with a wrong value would end it.
    """
    home = Path(environment["BATCH_ROUTER_HOME"])
    (home / "celeryconfig.py").write_text('broker_url = "redis://127.0.0.1:1/1"\nimports = ["nowhere"]\n')
    foreign = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/1", "CELERY_CONFIG_MODULE": "celeryconfig"}
    foreign |= {"CELERY_WORKER_QUEUES": "theirs", "CELERY_WORKER_AUTOSCALE": "x", "CELERY_WORKER_TIME_LIMIT": "x"}
    with worker(environment | foreign):
        store = open_store(Settings.from_env(environment))
        assert store.listeners("io")
        store.close()


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["-Q", "oi"], {}, r"no queue 'oi'; it has cpu, gpu, io, poll, and gpu\.<name>"),
        ([], {"BATCH_ROUTER_CELERY_CONFIG": "nowhere"}, "BATCH_ROUTER_CELERY_CONFIG: No module named 'nowhere'"),
        ([], {"BATCH_ROUTER_CELERY_CONFIG": "moved"}, "broker_url cannot be overridden: set BATCH_ROUTER_BROKER_URL"),
        ([], {"BATCH_ROUTER_CELERY_CONFIG": "misspelt"}, "did you mean 'worker_prefetch_multiplier'"),
        ([], {"BATCH_ROUTER_LEASE": "soon"}, "BATCH_ROUTER_LEASE: "),
        (
            [],
            {"BATCH_ROUTER_REDIS_URL": "redis://h/x"},
            "^Error: BATCH_ROUTER_REDIS_URL is not the URL of a Redis",
        ),
        ([], {"BATCH_ROUTER_BROKER_URL": "foo"}, "^Error: BATCH_ROUTER_BROKER_URL is not the URL of a Redis"),
        ([], {"BATCH_ROUTER_REDIS_URL": ""}, "no Redis: `batch-router up` starts one"),
    ],
)
def test_a_worker_that_cannot_start_says_why(
    environment: dict[str, str], arguments: list[str], variables: dict[str, str], said: str
) -> None:
    """A queue that does not exist, a wrong setting or override: one sentence, no traceback, an exit code."""
    (Path(environment["BATCH_ROUTER_HOME"]) / "moved.py").write_text('broker_url = "redis://127.0.0.1:1/1"\n')
    (Path(environment["BATCH_ROUTER_HOME"]) / "misspelt.py").write_text("worker_prefetch_multiplyer = 4\n")
    variables |= {"PYTHONPATH": environment["BATCH_ROUTER_HOME"]}
    done = start(environment | variables, "-A", "batch_router.worker", "worker", *arguments)
    assert done.returncode in (2, os.EX_CONFIG)
    assert re.search(said, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--broker", "--result-backend", "--loader", "--config"])
def test_an_option_without_effect_is_refused(environment: dict[str, str], option: str) -> None:
    """What the `celery` program would only put into a variable of Celery's is not ignored in silence."""
    done = start(environment, "-A", "batch_router.worker", option, "redis://127.0.0.1:1/1", "worker")
    assert done.returncode == 2
    assert f"{option} has no effect on batch_router" in done.stderr


def test_gpu_queues_have_names(environment: dict[str, str]) -> None:
    """A worker listens on `gpu.<name>` though no list has it."""
    with worker(environment, "-Q", "gpu.small"):
        store = open_store(Settings.from_env(environment))
        assert store.listeners("gpu.small")
        store.close()
