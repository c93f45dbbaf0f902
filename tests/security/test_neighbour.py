"""Others on this machine: what they prepare is not believed, and not waited for."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from batch_router.bounds import Bounds, beyond
from batch_router.connect import open_context, state_server
from batch_router.embedded import EmbeddedServer, running_url
from batch_router.exceptions import StoreUnavailableError, ValidationError
from batch_router.security.files import check_home, make_home, open_input, read_private
from batch_router.settings import Settings

NOBODY = 65534  # the user `nobody`; user namespaces show every user from outside as this one
MOST = 1 << 20

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


class Trap:
    """A listening socket of some user's, which counts who came."""

    def __init__(self, owner: int | None = None, port: int = 0) -> None:
        us = os.geteuid()
        os.seteuid(us if owner is None else owner)  # the kernel notes whose socket it is when it is made
        try:
            self._socket = socket.create_server(("127.0.0.1", port))
        finally:
            os.seteuid(us)
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    def connections(self) -> int:
        count = 0
        while True:
            try:
                self._socket.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that another user can reach, as his files are made in it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def _theirs(path: Path) -> Path:
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return path


def _refused(path: Path, most: int = MOST) -> str:
    with pytest.raises(ValidationError) as caught:
        open_input(path, most)
    return str(caught.value)


def test_an_input_file_is_read_as_it_is(tmp_path: Path) -> None:
    """A regular file is opened in blocking mode, from its start, and programs that are started do not inherit it."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"{}\n")
    with open_input(path, MOST) as stream:
        assert stream.read() == b"{}\n"
        assert os.get_blocking(stream.fileno())
        assert not os.get_inheritable(stream.fileno())


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder", "/dev/zero", "/dev/stdin", "missing", "/proc/self/nope"])
def test_only_a_regular_file_is_an_input(kind: str, tmp_path: Path) -> None:
    """A FIFO without a writer, a socket, a folder and a device are refused at once, by their path."""
    path = tmp_path / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    assert str(path) in _refused(path)


@pytest.mark.parametrize("path", ["rows\x00.jsonl", "rows\x1b[2J", "x" * 10_000, "/rows/\udcff"])
def test_the_path_of_an_input_is_printable_in_errors(path: str) -> None:
    """A null byte, an escape sequence, a path of 10 kB and what is no UTF-8 are refused in one short printable line."""
    sentence = _refused(Path(path))
    assert re.fullmatch(r"input: [^\x00-\x1f\x7f\udc80-\udcff]{0,700}", sentence), sentence


def test_an_input_is_bounded(tmp_path: Path) -> None:
    """A file that is larger than the bound is refused with the names of file, bound and setting."""
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as stream:
        stream.truncate(Bounds().max_input_bytes + 1)  # takes no place on the disk
    sentence = _refused(path, Bounds().max_input_bytes)
    assert str(path) in sentence
    assert beyond("max_input_bytes", Bounds().max_input_bytes) in sentence


def test_our_own_links_lead_to_an_input(tmp_path: Path) -> None:
    """A symbolic link of ours is followed, in the middle of a path and at its end, relative and absolute."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "rows.jsonl").write_bytes(b"{}\n")
    (tmp_path / "absolute").symlink_to(data)
    (data / "relative").symlink_to("../data/rows.jsonl")
    (data / "round").symlink_to("round")
    with open_input(tmp_path / "absolute" / ".." / "data" / "relative", MOST) as stream:
        assert stream.read() == b"{}\n"
    assert "symbolic links" in _refused(data / "round" / "rows.jsonl")


@as_root
@pytest.mark.parametrize("at_the_end", [True, False])
def test_a_link_of_another_user_leads_to_no_input(at_the_end: bool, tmp_path: Path) -> None:
    """A symbolic link of another user is not followed, at the end of a path or in the middle of it."""
    secret = tmp_path / "home" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(b"sk-secret\n")
    link = tmp_path / "link"
    link.symlink_to(secret if at_the_end else secret.parent)
    _theirs(link)
    assert "link is a symbolic link of another user" in _refused(link if at_the_end else link / "secret")


@as_root
def test_a_file_of_another_user_is_an_input(tmp_path: Path) -> None:
    """A colleague's file can be submitted: who it belongs to does not matter."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"{}\n")
    _theirs(path)
    with open_input(path, MOST) as stream:
        assert stream.read() == b"{}\n"


def test_what_is_private_is_read(tmp_path: Path) -> None:
    """A private file of ours is read, up to its bound."""
    path = tmp_path / "secret"
    path.write_bytes(b"12345678")
    path.chmod(0o600)
    assert read_private(path, 8) == b"12345678"
    with pytest.raises(ValidationError, match="more than 7 bytes"):
        read_private(path, 7)
    with pytest.raises(FileNotFoundError):
        read_private(tmp_path / "missing", 8)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_what_others_may_touch_is_not_private(mode: int, tmp_path: Path) -> None:
    """A file that group or others may read or write is refused, with the command that mends it."""
    path = tmp_path / "secret"
    path.write_bytes(b"secret")
    path.chmod(mode)
    with pytest.raises(ValidationError, match=f"chmod 600 {path}"):
        read_private(path, 8)


@as_root
def test_what_another_user_made_is_not_private(tmp_path: Path) -> None:
    """A file of mode 0600 that belongs to another user, a link, and a FIFO are refused."""
    path = tmp_path / "secret"
    path.write_bytes(b"secret")
    path.chmod(0o600)
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "fifo", 0o600)
    _theirs(path)
    for name, reason in (("secret", "another user"), ("link", "symbolic link"), ("fifo", "FIFO")):
        with pytest.raises(ValidationError, match=reason):
            read_private(tmp_path / name, 8)


def test_a_home_is_made_for_us_alone(tmp_path: Path) -> None:
    """A home that is missing is made with mode 0700, and so are missing folders above it; a check alone makes none."""
    home = tmp_path / "new" / "home"
    check_home(home)
    assert not home.parent.exists()
    make_home(home)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (home, home.parent)] == [0o700, 0o700]
    make_home(home)
    check_home(home)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_a_home_that_others_may_write_is_refused(mode: int, tmp_path: Path) -> None:
    """A home of ours that group or others may write is refused, with path, mode and remedy."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    with pytest.raises(ValidationError, match=rf"{home} .* \(mode {mode:04o}\); chmod 0?7.. {home}"):
        check_home(home)
    home.chmod(mode & 0o755)
    check_home(home)


@as_root
def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    """A home that another user prepared is refused, whatever its mode, and through a link of ours, too."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(home)
    check_home(link)
    _theirs(home)
    for path in (home, link):
        with pytest.raises(ValidationError, match=f"BATCH_ROUTER_HOME: {path} is not used: it belongs to another user"):
            make_home(path)


@as_root
def test_a_home_behind_a_link_of_another_user_is_refused(tmp_path: Path) -> None:
    """A link of another user is not followed to a home, and nothing is made where it leads."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    _theirs(tmp_path / "link")
    for path in (tmp_path / "link", tmp_path / "link" / "home"):
        with pytest.raises(ValidationError, match="symbolic link of another user"):
            make_home(path)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(("mode", "others_have_it"), [(0o777, True), (0o1777, False), (0o755, False)])
def test_a_home_that_others_can_exchange_is_refused(mode: int, others_have_it: bool, tmp_path: Path) -> None:
    """A folder above the home may be written by others only if they cannot rename our home in it (`/tmp`)."""
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(mode)
    (parent / "home").mkdir(mode=0o700)
    if not others_have_it:
        check_home(parent / "home")
        return
    with pytest.raises(ValidationError, match=r"others may write a folder above it \(mode 0777\)"):
        check_home(parent / "home")


@as_root
def test_a_group_above_the_home_matters_if_others_are_in_it(tmp_path: Path) -> None:
    """A folder above the home may be written by a group of ours alone, and not by one with another member."""
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(0o775)
    (parent / "home").mkdir(mode=0o700)
    check_home(parent / "home")  # root's own group
    os.chown(parent, 0, NOBODY)  # the group of the user nobody
    with pytest.raises(ValidationError, match="others may write a folder above it"):
        check_home(parent / "home")


@as_root
def test_a_home_in_the_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """A home of ours below another user's folder is refused: he can exchange it."""
    home = tmp_path / "theirs" / "home"
    home.parent.mkdir(mode=0o755)
    home.mkdir(mode=0o700)
    _theirs(home.parent)
    with pytest.raises(ValidationError, match="a folder above it belongs to another user"):
        check_home(home)


_AS_UNKNOWN = """
import sys
from pathlib import Path
from batch_router.security.files import check_home, read_private
for check, path in ((check_home, sys.argv[1]), (lambda path: read_private(path, 100), sys.argv[2])):
    try:
        check(Path(path))
    except ValueError as error:
        print(error)
"""


@as_root
def test_owners_without_a_number_are_not_us(shared: Path) -> None:
    """In a user namespace that knows no users, every owner has our number: nothing counts as ours there."""
    home, secret = shared / "home", shared / "secret"
    home.mkdir()
    secret.write_bytes(b"secret")
    secret.chmod(0o600)
    command = ["unshare", "--user", sys.executable, "-c", _AS_UNKNOWN, str(home), str(secret)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip(done.stderr)
    home_line, secret_line = done.stdout.splitlines()
    assert "belongs to a user outside of this user namespace" in home_line
    assert "belongs to a user outside of this user namespace" in secret_line


@pytest.fixture
def trap() -> Iterator[Trap]:
    """What a neighbour would have our password sent to."""
    with Trap() as listening:
        yield listening


def _prepare(home: Path, trap: Trap) -> None:
    """A home with the record of a server that is the neighbour's."""
    record = {"port": trap.port, "password": "0" * 48, "pid": 1, "supervisor": 1}
    (home / "redis").mkdir(parents=True)
    for folder in (home, home / "redis"):
        folder.chmod(0o700)
    (home / "redis" / "server.json").write_text(json.dumps(record))
    (home / "redis" / "server.json").chmod(0o600)


def _give_away(path: Path) -> None:
    for each in (path, *path.rglob("*")):
        _theirs(each)


def _point_elsewhere(path: Path) -> Path:
    moved = path.rename(path.with_name("elsewhere"))
    path.symlink_to(moved)
    return path


def _start(home: Path) -> None:
    with EmbeddedServer(home):
        pass


_PREPARED: dict[str, Callable[[Path], object]] = {
    "all of it is theirs": _give_away,
    "the home is for all": lambda home: home.chmod(0o777),
    "the home is theirs": _theirs,
    "the folder is theirs": lambda home: _theirs(home / "redis"),
    "the folder is for all": lambda home: (home / "redis").chmod(0o777),
    "the folder was copied": lambda home: (home / "redis").chmod(0o755),
    "the record is theirs": lambda home: _theirs(home / "redis" / "server.json"),
    "the record was copied": lambda home: (home / "redis" / "server.json").chmod(0o644),
    "the record is for the group": lambda home: (home / "redis" / "server.json").chmod(0o660),
    "the record is a link": lambda home: _point_elsewhere(home / "redis" / "server.json"),
    "the folder is their link": lambda home: _theirs(_point_elsewhere(home / "redis")),
}


@as_root
@pytest.mark.parametrize("how", _PREPARED)
def test_a_prepared_server_gets_no_connection(how: str, tmp_path: Path, trap: Trap) -> None:
    """A home, a folder or a record that another user made or may change is refused before anything connects."""
    home = tmp_path / "home"
    _prepare(home, trap)
    _PREPARED[how](home)
    settings = Settings(home=home)
    for touch in (running_url, _start, lambda _: state_server(settings), lambda _: open_context(settings)):
        with pytest.raises(ValidationError, match=r"BATCH_ROUTER_HOME|server\.json"):
            touch(home)
    assert trap.connections() == 0


@as_root
@pytest.mark.parametrize("owner", [0, NOBODY])
def test_a_record_without_its_server_gets_no_connection(owner: int, tmp_path: Path) -> None:
    """A record that is ours and private, but old or copied, is not believed: its server does not hold its lock."""
    with Trap(owner) as trap:
        _prepare(tmp_path, trap)
        assert running_url(tmp_path) is None
        (tmp_path / "redis" / "data.lock").touch(0o600)
        assert running_url(tmp_path) is None
        assert trap.connections() == 0


@as_root
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not say who listens")
def test_a_port_that_another_user_took_is_told_no_password(tmp_path: Path) -> None:
    """A neighbour who takes our server's port while it is down gets no connection when it starts again."""
    with EmbeddedServer(tmp_path) as server:
        port = urlsplit(server.start()).port
        server.stop()
        with Trap(NOBODY, port or 0) as trap:
            assert urlsplit(server.start()).port != port
            assert trap.connections() == 0


@pytest.mark.parametrize("name", ["owner.lock", "data.lock", "server.log", "server.conf.new", "server.json.new"])
def test_no_file_of_the_server_is_a_link(name: str, tmp_path: Path) -> None:
    """A link in a copied home makes the server write nowhere else: into no file that is there, and into no new one."""
    home, precious, fresh = tmp_path / "home", tmp_path / "precious", tmp_path / "fresh"
    (home / "redis").mkdir(parents=True, mode=0o700)
    precious.write_bytes(b"precious")
    precious.chmod(0o600)
    for target in (precious, fresh):
        (home / "redis" / name).unlink(missing_ok=True)
        (home / "redis" / name).symlink_to(target)
        with pytest.raises((ValidationError, StoreUnavailableError)):
            EmbeddedServer(home).start()
    assert precious.read_bytes() == b"precious"
    assert not fresh.exists()


_COMMANDS = {
    "status": ["batch_router.cli", "status", "b"],
    "doctor": ["batch_router.cli", "doctor"],
    "up": ["batch_router.cli", "up"],
    "worker": ["celery", "-A", "batch_router.worker", "worker"],
}


@as_root
@pytest.mark.parametrize("command", _COMMANDS.values(), ids=_COMMANDS)
def test_no_program_takes_a_prepared_home(command: list[str], tmp_path: Path, trap: Trap) -> None:
    """In a folder with another user's `.batch_router` every command ends with the reason, and connects to nothing."""
    _prepare(tmp_path / ".batch_router", trap)
    _give_away(tmp_path / ".batch_router")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCH_ROUTER_")}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode not in (0, None)
    assert "belongs to another user" in " ".join((done.stdout + done.stderr).split())
    assert trap.connections() == 0
