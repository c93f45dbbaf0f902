"""Payload objects: there whole or not at all."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from batch_router.exceptions import FileOperationError
from batch_router.storage import FolderStorage


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "home")


def files(storage: FolderStorage) -> list[str]:
    root = Path(storage.address)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def read(storage: FolderStorage, name: str) -> bytes:
    with storage.open(name) as stream:
        return stream.read()


def put(storage: FolderStorage, name: str, content: bytes) -> None:
    with storage.write(name) as stream:
        stream.write(content)


def give_up(storage: FolderStorage, name: str) -> None:
    with storage.write(name) as stream:
        stream.write(b"x" * 3_000_000)
        raise KeyError


@pytest.mark.parametrize("sizes", [[], [0], [1], [7] * 1000, [1_500_000, 1, 2_500_000], [1 << 20] * 3])
def test_what_was_written_is_read(storage: FolderStorage, sizes: list[int]) -> None:
    """Nothing is lost, added or put out of order, whatever the sizes of the pieces."""
    pieces = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    with storage.write("a/b.jsonl") as stream:
        for piece in pieces:
            stream.write(piece)
    assert read(storage, "a/b.jsonl") == b"".join(pieces)
    assert Path(storage.address, "a/b.jsonl").read_bytes() == b"".join(pieces)


def test_an_object_appears_when_it_is_whole(storage: FolderStorage) -> None:
    """While it is being written, readers see the object of before, or none."""
    put(storage, "old", b"before")
    with storage.write("old") as old, storage.write("new") as new:
        old.write(b"x" * 2_000_000)
        new.write(b"x" * 2_000_000)
        assert read(storage, "old") == b"before"
        with pytest.raises(FileOperationError, match="new"):
            storage.open("new")
    assert files(storage) == ["new", "old"]


def test_a_failed_write_leaves_nothing(storage: FolderStorage) -> None:
    """When the writer gives up, neither the object nor a temporary file is there."""
    with pytest.raises(KeyError):
        give_up(storage, "a/b")
    assert files(storage) == []


def test_a_full_disk_is_an_error_that_may_pass(tmp_path: Path) -> None:
    """The system refuses to write on in the middle of an object: a typed error, worth a retry, and nothing is left."""
    program = """
import resource, sys
from pathlib import Path
from batch_router.exceptions import FileOperationError
from batch_router.storage import FolderStorage
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    with FolderStorage(Path(sys.argv[1])).write("a/b") as stream:
        for _ in range(64):
            stream.write(bytes(1 << 16))
except FileOperationError as error:
    print(error.retryable, error)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True a/b: File too large: raise the limit of this user's files (`ulimit -f`)\n", done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_failed_write_leaves_what_was_there(storage: FolderStorage) -> None:
    """The object of before outlives a failed attempt to replace it."""
    put(storage, "a", b"before")
    with pytest.raises(KeyError):
        give_up(storage, "a")
    assert read(storage, "a") == b"before"
    assert files(storage) == ["a"]


def test_readers_keep_what_they_opened(storage: FolderStorage) -> None:
    """Replacing an object does not change it under a reader."""
    put(storage, "a", b"before")
    with storage.open("a") as stream:
        put(storage, "a", b"after!")
        assert stream.read() == b"before"
    assert read(storage, "a") == b"after!"


def test_objects_are_private(storage: FolderStorage) -> None:
    """Prompts are for the owner's eyes: objects are 0600, each folder on the way to them 0700."""
    put(storage, "generated/openai/b/in.jsonl", b"prompt")
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in [Path(storage.address), *Path(storage.address).rglob("*")]
    }
    assert modes == {"home": 0o700, "generated": 0o700, "openai": 0o700, "b": 0o700, "in.jsonl": 0o600}


def test_an_emptied_folder_is_no_trouble_to_others(storage: FolderStorage) -> None:
    """Deleting the last object of a folder while another process writes beside it costs neither of them anything."""

    def work(number: int) -> bytes:
        for _ in range(200):
            put(storage, f"generated/openai/{number}/a", b"1")
            storage.delete(f"generated/openai/{number}/a")
        put(storage, f"generated/openai/{number}/b", b"2")
        return read(storage, f"generated/openai/{number}/b")

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [b"2"] * 4


def test_a_missing_object_is_an_error(storage: FolderStorage) -> None:
    """Opening says which object is not there; deleting it is fine."""
    with pytest.raises(FileOperationError, match=r"^a/b: No such file"):
        storage.open("a/b")
    storage.delete("a/b")


def test_a_deleted_object_is_gone(storage: FolderStorage) -> None:
    """Only the named object goes."""
    put(storage, "a", b"1")
    put(storage, "b", b"2")
    storage.delete("a")
    assert files(storage) == ["b"]


def test_a_name_that_cannot_be_taken_is_an_error(storage: FolderStorage) -> None:
    """Where a folder stands in the object's place, the write fails as storage, and cleans up."""
    Path(storage.address, "a").mkdir(parents=True)
    with pytest.raises(FileOperationError, match=r"^a: "):
        put(storage, "a", b"1")
    assert files(storage) == []


def test_a_root_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    """A file in the place of the storage is named as the trouble, worth a retry after it was removed."""
    (tmp_path / "home").write_bytes(b"")
    with pytest.raises(FileOperationError) as caught:
        put(FolderStorage(tmp_path / "home"), "a/b", b"1")
    assert caught.value.retryable


def test_the_root_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that changes its folder later still finds its objects."""
    monkeypatch.chdir(tmp_path)
    storage = FolderStorage(Path("home"))
    put(storage, "a", b"1")
    monkeypatch.chdir("/")
    assert Path(storage.address) == tmp_path / "home"
    assert read(storage, "a") == b"1"


def test_what_is_being_written_is_not_listed(storage: FolderStorage) -> None:
    """A list shows whole objects, with their sizes."""
    put(storage, "a/old", b"12")
    with storage.write("a/new") as stream:
        stream.write(b"x" * 1_000_000)
        assert [(found.name, found.size) for found in storage.list("a")] == [("a/old", 2)]


def test_ranges_are_read(storage: FolderStorage) -> None:
    """In any order; at the end of the object there is less."""
    put(storage, "a", b"0123456789")
    with storage.ranges("a") as read:
        assert [read(8, 5), read(0, 2), read(10, 1)] == [b"89", b"01", b""]


def test_errors_of_the_block_stay_its_own(storage: FolderStorage) -> None:
    """A file that the caller reads while it writes is not blamed on the object; nothing is left."""
    with pytest.raises(FileNotFoundError, match=r"cat\.png"), storage.write("a"):
        Path("cat.png").read_bytes()
    assert files(storage) == []


def test_a_read_that_fails_names_the_object(storage: FolderStorage) -> None:
    """Also after it was opened."""
    put(storage, "a/b", b"1")
    with pytest.raises(FileOperationError, match=r"^a: "), storage.ranges("a") as read:
        read(0, 1)
    with pytest.raises(FileOperationError, match=r"^a: "):
        storage.open("a").read()


# Should a storage ever follow one of these, it stays in the test's own folder: a test must never name another one, for
# `delete_all` deletes.
HOSTILE = ["../x", "a/../../x", "ABOVE/x", "a//b", "a/", "", ".", "..", "a/./b", ".x", "a\x00b", "a\nb", "x" * 10_000]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda name: repr(name[:20]))
@pytest.mark.parametrize("method", ["write", "open", "ranges", "size", "list", "delete", "delete_all"])
def test_no_name_leads_elsewhere(storage: FolderStorage, method: str, hostile: str) -> None:
    """A name that we could not have made is refused by every method, in a short printable sentence."""
    above = Path(storage.address).parent
    (above / "x").write_bytes(b"precious")
    put(storage, "a/b", b"1")
    with pytest.raises(FileOperationError, match=r"nothing was touched") as caught:
        exhaust(getattr(storage, method)(hostile.replace("ABOVE", str(above))))
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()
    assert (above / "x").read_bytes() == b"precious"
    assert files(storage) == ["a/b"]


def exhaust(found: object) -> None:
    """Do what the method gives: read the list, enter the block."""
    if isinstance(found, AbstractContextManager):
        with found:
            pass
    elif isinstance(found, Iterator):
        list(found)


@pytest.mark.parametrize(
    "folder",
    ["generated", "generated/openai", "generated/openai/b", "other/openai/b/s", "generated/openai/b/s/c", "redis"],
)
def test_only_the_folder_of_a_shard_is_deleted(storage: FolderStorage, folder: str) -> None:
    """A folder above, beside or below those of shards is not deleted with all that is in it."""
    put(storage, "generated/openai/b/s/c/rows", b"1")
    put(storage, "other/openai/b/s/rows", b"1")
    with pytest.raises(FileOperationError, match="is not the folder of a shard; nothing was touched"):
        storage.delete_all(folder)
    assert len(files(storage)) == 2
    storage.delete_all("generated/openai/b/s")
    storage.delete_all("generated/openai/b/s")
    assert files(storage) == ["other/openai/b/s/rows"]


@pytest.mark.parametrize(
    "link", ["generated", "generated/openai", "generated/openai/b", "generated/openai/b/s", "generated/openai/b/s/rows"]
)
def test_a_link_leads_nowhere(storage: FolderStorage, link: str, tmp_path: Path) -> None:
    """A symbolic link in the storage is followed by no method, at the end of a name or in the middle of it."""
    name = "generated/openai/b/s/rows"
    put(storage, name, b"mine")
    moved, there = tmp_path / "elsewhere", Path(storage.address, link)
    there.rename(moved)
    there.symlink_to(moved)
    before = sorted(tmp_path.rglob("*"))
    for method in ("open", "ranges", "size"):
        with pytest.raises(
            FileOperationError, match=r"no symbolic link is followed in the storage|symbolic link; only"
        ):
            exhaust(getattr(storage, method)(name))
    assert list(found_names(storage)) == []
    for change in (storage.delete_all, storage.delete, lambda name: put(storage, name, b"theirs")):
        with suppress(FileOperationError):  # a link in the object's place is replaced, or deleted itself
            change(name.rpartition("/")[0] if change == storage.delete_all else name)
    assert (moved if moved.is_file() else moved / name.removeprefix(f"{link}/")).read_bytes() == b"mine"
    assert {path for path in before if moved in (path, *path.parents)} <= set(tmp_path.rglob("*"))


def found_names(storage: FolderStorage) -> Iterator[str]:
    with suppress(FileOperationError):
        for found in storage.list("generated"):
            yield found.name


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_an_object_is_a_regular_file(storage: FolderStorage, kind: str) -> None:
    """A FIFO or a folder in an object's place is an error at once, and is not listed."""
    put(storage, "a/b", b"1")
    path = Path(storage.address, "a", "c")
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    for method in (storage.open, storage.size):
        with pytest.raises(FileOperationError, match=r"^a/c: .*only a regular file"):
            method("a/c")
    assert [found.name for found in storage.list("a")] == ["a/b"]


def test_what_is_not_ours_is_not_listed(storage: FolderStorage) -> None:
    """A file whose name we could not have made is left out of lists: no other method would take it."""
    put(storage, "a/b", b"1")
    Path(storage.address, "a", "b\x1b[2J").write_bytes(b"")
    assert [found.name for found in storage.list("a")] == ["a/b"]


def test_a_new_root_is_private(tmp_path: Path) -> None:
    """A storage whose folder is exchanged for one that others may write, after the check at the start, is not used."""
    storage = FolderStorage(tmp_path / "shared" / "home")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    with pytest.raises(FileOperationError, match="others may write a folder above it"):
        put(storage, "a", b"1")
