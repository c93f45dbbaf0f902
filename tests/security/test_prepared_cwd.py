"""A folder that another prepared: what is run in it executes nothing of it, and takes nothing from it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_router.client import BatchClient
from batch_router.connect import open_context
from batch_router.settings import Settings
from tests.e2e.stack import clean_environment, run_stack_in

#: Modules that our processes, Celery, Flower and Python itself look for.
MODULES = ["batch_router_marker", "celeryconfig", "click", "flowerconfig", "httpx2", "honcho", "msgspec", "operators"]
MODULES += ["redis", "sitecustomize", "usercustomize", "workers", "kombu", "flower", "tornado", "openai", "aiohttp"]
PROGRAM = Path(sys.executable).with_name("batch-router")


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Path]:
    """The folder; whatever of it is executed leaves a file behind."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text(
            f"open({str(tmp_path / 'executed')!r}, 'a').write('{name} ')\nraise SystemExit"
        )
    (folder / "Procfile").write_text(f"io: touch {tmp_path}/executed\nevil: touch {tmp_path}/executed\n")
    (folder / ".env").write_text("BATCH_ROUTER_REDIS_URL=redis://127.0.0.1:1/0\nBATCH_ROUTER_LEASE=wrong\n")
    yield folder
    assert not (tmp_path / "executed").exists(), (tmp_path / "executed").read_text()


def test_up_executes_nothing_of_the_folder(prepared: Path) -> None:
    """Neither `up` nor the workers, the simulator, an engine and Flower, which it starts; a batch is answered."""
    home = prepared / "home"
    everything = ("io", "cpu", "gpu", "flower")
    with run_stack_in(prepared, home, [str(PROGRAM)], "", everything, {}) as stack:
        for provider in ("openai", "vllm"):
            batch_id = stack.client.submit(provider, model="m", requests=[{"custom_id": "a", "prompt": "x"}])
            assert stack.client.wait(batch_id, timeout=60).request_counts.succeeded == 1


@pytest.mark.parametrize("arguments", [["doctor"], ["list"], ["submit", "rows.jsonl", "--provider", "openai"]])
def test_commands_execute_nothing_of_the_folder(prepared: Path, arguments: list[str]) -> None:
    """Even where a module of the operator's has the name of one in it."""
    (prepared / "rows.jsonl").write_text('{"custom_id": "a", "prompt": "x"}\n')
    environment = clean_environment(prepared / "home", BATCH_ROUTER_CELERY_CONFIG="operators")
    done = subprocess.run(
        [PROGRAM, *arguments], env=environment, cwd=prepared, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr


def test_what_submits_in_it_executes_nothing_of_it(prepared: Path, valkey: str) -> None:
    """A program of the user's, which lies elsewhere, and whose Celery settings are in no module of this folder."""
    (prepared.parent / "elsewhere").mkdir()
    program = prepared.parent / "elsewhere" / "program.py"
    program.write_text("""
from batch_router.worker import submit_batch
print(submit_batch.delay("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}]).id)
""")
    environment = clean_environment(prepared / "home", BATCH_ROUTER_REDIS_URL=valkey, BATCH_ROUTER_PREFIX="prepared")
    run = [sys.executable, str(program)]
    done = subprocess.run(run, env=environment, cwd=prepared, capture_output=True, text=True, timeout=60)
    assert re.fullmatch(r"batch_\w+\n", done.stdout), done.stderr
    with BatchClient(open_context(Settings.from_env(environment))) as client:
        assert client.status(done.stdout.strip()).status == "queued"
    environment["BATCH_ROUTER_CELERY_CONFIG"] = "operators"
    done = subprocess.run(run, env=environment, cwd=prepared, capture_output=True, text=True, timeout=60)
    assert "installed or on the PYTHONPATH" in done.stderr


def test_paths_of_the_settings_still_count_from_the_folder(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of the stack run elsewhere, and get them whole."""
    from batch_router.cli.stack import _without_folder

    monkeypatch.chdir(prepared)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["mine", "", "/theirs"]))
    given = _without_folder(Settings(home=Path("home"), credentials=Path("keys.toml"), redis_ca=Path("ca.crt")))
    assert given == {
        "BATCH_ROUTER_HOME": str(prepared / "home"),
        "BATCH_ROUTER_CREDENTIALS": str(prepared / "keys.toml"),
        "BATCH_ROUTER_REDIS_CA": str(prepared / "ca.crt"),
        "PYTHONPATH": os.pathsep.join([str(prepared / "mine"), "/theirs"]),
    }
