"""The app in another app's process: neither changes anything of the other.

Each check runs in a process of its own, for most of what it looks at is there once in a process.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# All that importing a library could change of its host, and `changed()`, which names what did.
WATCH = """
import importlib, logging, os, signal, sys, warnings
import celery, kombu.pools
from celery import _state, signals
import click, msgspec, redis  # what they do when they are imported is theirs

def world():
    roots = [logging.getLogger(), logging.getLogger("celery"), logging.getLogger("kombu")]
    known = [each for each in vars(signals).values() if isinstance(each, celery.utils.dispatch.Signal)]
    return {
        "current app": _state._tls.current_app,
        "default app": _state.default_app,
        "receivers": [len(each.receivers or ()) for each in known],
        "logging": [(log.handlers[:], log.level, log.filters[:], log.disabled) for log in roots],
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "path": list(sys.path),
        "pools": kombu.pools.get_limit(),
        "handlers": [signal.getsignal(each) for each in signal.valid_signals()],
        "modules": {"celeryconfig", "workers"} & set(sys.modules),
        "start method": __import__("multiprocessing").get_start_method(allow_none=True),
    }

before = world()

def changed():
    after = world()
    return [name for name in before if before[name] != after[name]]
"""
SUBMIT = """
from batch_router.worker import submit_batch
job = submit_batch.delay("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}])
"""


def run(code: str, cwd: Path, **variables: str) -> str:
    """What a program prints, in an environment without settings of ours or Celery's but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BATCH_ROUTER_", "CELERY_"))}
    ours = {"BATCH_ROUTER_HOME": str(cwd / "home"), "BATCH_ROUTER_PREFIX": cwd.name[:40]}  # a fleet for each test
    environment = kept | ours | variables
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_changes_nothing(tmp_path: Path) -> None:
    """Not the current app, signals, logging, warnings, the environment...; and no server is needed, nor looked for."""
    assert run(f"{WATCH}\nfrom batch_router.worker import submit_batch\nprint(changed())", tmp_path) == "[]"


def test_submitting_changes_nothing(tmp_path: Path, valkey: str) -> None:
    """Also the limit of the connection pools, which kombu shares among apps, stays as another app has set it."""
    limit = "import kombu.pools; kombu.pools.set_limit(50)"
    assert run(f"{limit}\n{WATCH}\n{SUBMIT}\nprint(changed())", tmp_path, BATCH_ROUTER_REDIS_URL=valkey) == "[]"


def test_the_current_app_is_never_asked(tmp_path: Path, valkey: str) -> None:
    """With Celery's own check, which raises where a current app is used, a batch is submitted and looked at."""
    code = f"{SUBMIT}\nprint(job.state)"
    assert run(code, tmp_path, BATCH_ROUTER_REDIS_URL=valkey, C_STRICT_APP="1") == "PENDING"


@pytest.mark.parametrize("order", ["ours = theirs", "theirs = ours"], ids=["ours first", "theirs first"])
def test_tasks_stay_with_their_app(tmp_path: Path, order: str) -> None:
    """Celery offers each shared task to every app of a process: ours takes none, and gives none."""
    ours = "from batch_router.worker import app as guest, submit_batch"
    theirs = """
from celery import Celery, current_app, shared_task
host = Celery("host", broker="memory://")
@shared_task(name="host.add")
def add(a, b): return a + b
@host.task(name="host.bound")
def bound(): pass
"""
    first, second = (ours, theirs) if order.startswith("ours") else (theirs, ours)
    check = """
guest.finalize(), host.finalize()
@shared_task(name="host.late")
def late(): pass
names = lambda app: {name for name in app.tasks if not name.startswith("celery.")}
print(sorted(names(host)), {name.partition(".")[0] for name in names(guest)}, add.app is host, current_app == host)
"""
    expected = "['host.add', 'host.bound', 'host.late'] {'batch_router'} True True"
    assert run(f"{first}\n{second}\n{check}", tmp_path) == expected


FOREIGN = {
    "CELERY_BROKER_URL": "redis://elsewhere:1/1",
    "CELERY_BROKER_READ_URL": "redis://elsewhere:1/1",
    "CELERY_BROKER_WRITE_URL": "redis://elsewhere:1/1",
    "CELERY_RESULT_BACKEND": "redis://elsewhere:1/1",
    "CELERY_CONFIG_MODULE": "celeryconfig",
    "CELERY_LOADER": "default",
    "CELERY_TRACE_APP": "1",
    "DJANGO_SETTINGS_MODULE": "nowhere.settings",
}


@pytest.mark.parametrize("variable", FOREIGN)
def test_a_variable_of_celery_has_no_effect(tmp_path: Path, variable: str) -> None:
    """Nor has a `celeryconfig.py` where the program runs: broker, results, loader and queue are ours."""
    (tmp_path / "celeryconfig.py").write_text('broker_url = "redis://elsewhere:1/1"\ntask_default_queue = "theirs"\n')
    code = """
from batch_router.worker import app
print(app.connection_for_read().as_uri(), app.connection_for_write().as_uri(), app.connection().as_uri())
print(type(app.backend).__name__, type(app.loader).__module__, app.amqp.default_queue.name, app.fixups)
"""
    url = {"BATCH_ROUTER_REDIS_URL": "redis://here:7/0"}
    printed = run(code, tmp_path, **url, **{variable: FOREIGN[variable]})
    here = "redis://:**@here:7/1"
    assert printed == f"{here} {here} {here}\nStoreBackend batch_router.worker.loader io ()"
