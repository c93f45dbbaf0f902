"""A storage is known by its mark, not by its path; only workers decide which one is the store's."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_router.client import BatchClient
from batch_router.exceptions import ValidationError
from batch_router.road import storage_mark
from batch_router.road.context import Context
from batch_router.road.lease import LeaseKeeper
from batch_router.road.steps.convert import convert
from batch_router.state.base import Binding
from batch_router.state.items import Batch
from batch_router.storage import FolderStorage
from tests.worker.fleet import environment_of

ROWS = [{"custom_id": "a", "prompt": "x"}]


@pytest.fixture
def at(context: Context, tmp_path: Path) -> Callable[[str], Context]:
    """`at("b")`: a process of the same store with its home in that folder."""

    def elsewhere(folder: str) -> Context:
        keeper = LeaseKeeper(context.store, lease=15, every=5)
        storage = FolderStorage(tmp_path / folder)
        return Context(context.settings, context.store, storage, folder, context.clients, keeper)

    return elsewhere


def submit(context: Context) -> Batch:
    batch_id = BatchClient(context).submit("openai", model="m", requests=ROWS)
    batch = context.store.get_batch(batch_id)
    assert batch is not None
    return batch


def test_the_first_worker_decides(at: Callable[[str], Context]) -> None:
    """A worker with another storage is told so; it makes no mark there."""
    storage_mark.bind(at("a"))
    storage_mark.bind(at("a"))
    with pytest.raises(ValidationError, match=r"payloads in .*/a, and .*/b is another storage: set BATCH_ROUTER_HOME"):
        storage_mark.bind(at("b"))
    assert not Path(at("b").storage.address).exists()


def test_a_client_decides_nothing(at: Callable[[str], Context]) -> None:
    """It submits into an unbound store without locking the fleet out of its own storage."""
    batch = submit(at("notebook"))
    storage_mark.bind(at("fleet"))
    assert submit(at("fleet")).storage != batch.storage
    with pytest.raises(ValidationError, match=r"its rows lie in another storage .*submit it again"):
        convert(at("fleet"), batch)


def test_a_client_with_another_storage_is_told(at: Callable[[str], Context]) -> None:
    """Where it would read or write files; the status of a batch needs none."""
    storage_mark.bind(at("fleet"))
    batch = submit(at("fleet"))
    stranger = BatchClient(at("notebook"))
    assert stranger.status(batch.id).status == "queued"
    for act in (lambda: submit(at("notebook")), lambda: stranger.results(batch.id), lambda: stranger.purge_older(1)):
        with pytest.raises(ValidationError, match="batch-router storage --move"):
            act()


def test_a_volume_at_the_same_path_is_another_one(at: Callable[[str], Context]) -> None:
    """What is mounted there is compared, not the path; an empty folder is a volume that is missing."""
    storage_mark.bind(at("data"))
    Path(at("data").storage.address).rename(Path(at("data").storage.address).with_name("unmounted"))
    with pytest.raises(ValidationError, match=r"what is there now is another storage: is the volume mounted\?"):
        storage_mark.bind(at("data"))
    with at("data").storage.write("storage-marks/another"):
        pass
    with pytest.raises(ValidationError, match="is the volume mounted"):
        storage_mark.bind(at("data"))


def test_a_folder_that_moves_keeps_its_mark(at: Callable[[str], Context]) -> None:
    """And so does a copy: batches go on there."""
    storage_mark.bind(at("old"))
    batch = submit(at("old"))
    shutil.copytree(at("old").storage.address, at("copy").storage.address)
    Path(at("old").storage.address).rename(at("new").storage.address)
    for name in ("new", "copy"):
        storage_mark.bind(at(name))
        assert convert(at(name), batch).spawn


def test_a_store_moves_to_another_storage(at: Callable[[str], Context]) -> None:
    """On demand; batches whose files were brought along without their mark go on."""
    storage_mark.bind(at("old"))
    batch = submit(at("old"))
    storage_mark.bind_here(at("new"))
    storage_mark.bind(at("new"))
    with pytest.raises(ValidationError):
        storage_mark.bind(at("old"))
    shutil.copytree(Path(at("old").storage.address, "generated"), Path(at("new").storage.address, "generated"))
    assert convert(at("new"), batch).spawn


def test_two_that_make_a_mark_at_once_do_no_harm(at: Callable[[str], Context]) -> None:
    """Both marks are the storage's."""
    for mark in ("b", "a"):
        with at("home").storage.write(f"storage-marks/{mark}"):
            pass
    at("home").store.bind_storage(Binding("b", "/home"))
    storage_mark.bind(at("home"))
    storage_mark.check(at("home"))


def test_the_command_moves_a_store_only_with_yes(tmp_path: Path, valkey: str) -> None:
    """It says what that does, and shows which storage the store is bound to."""

    def storage(home: str, *options: str) -> "subprocess.CompletedProcess[str]":
        environment = environment_of(tmp_path / home, valkey, BATCH_ROUTER_PREFIX=tmp_path.name)
        command = [sys.executable, "-m", "batch_router.cli", "storage", *options]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    assert storage("a").stdout == "none yet: the first worker decides\n"
    refused = storage("a", "--move")
    assert (refused.returncode, storage("a").stdout) == (2, "none yet: the first worker decides\n")
    assert "batches whose files are not in it fail; nothing was done: --yes does it" in refused.stderr
    assert storage("a", "--move", "--yes").stdout.startswith(f"{tmp_path}/a (mark ")
    strange = storage("b")
    assert (strange.returncode, strange.stdout) == (2, storage("a").stdout)
    assert storage("b", "--move", "--yes").stdout.startswith(f"{tmp_path}/b (mark ")
