"""The one place that opens what others on this machine may have prepared: input files, the home, private files in it.

A user who may write a folder on the way decides what a name in it means. So a path is followed part by part, each one
by the folder that is already open, and a symbolic link only if it belongs to this user or to root.
"""

import errno
import grp
import os
import pwd
import stat
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

from ..exceptions import ValidationError
from .printable import printable

# Where there is O_PATH, a folder need not be readable to be passed through.
_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | getattr(os, "O_PATH", os.O_RDONLY)
# Without O_NONBLOCK, opening a FIFO waits for its writer.
_WITHOUT_EFFECT = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_MOST_LINKS = 40  # as in Linux
_SHOWN = 500

_Visit = Callable[[int], object]


def open_input(path: Path, most_bytes: int) -> BinaryIO:
    """A file that the user of this process names, for reading.

    Args:
        path: of a regular file; its owner does not matter.
        most_bytes: that it may have now; it may grow while it is read.

    Raises:
        ValidationError: it cannot be read, is no regular file, too large, or behind another user's symbolic link.
    """
    try:
        with _following(path) as (folder, name):
            file = open_regular(name, os.O_RDONLY, folder)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        is_pipe = _is_pipe(path)
        why = "it is a FIFO; only a regular file is read, or with `-` the standard input" if is_pipe else _reason(error)
        _refuse_input(path, f"cannot be read: {why}")
    try:
        if (size := os.fstat(file).st_size) > most_bytes:
            _refuse_input(path, f"has {size:,} bytes, more than {most_bytes:,} (BATCH_ROUTER_MAX_INPUT_BYTES)")
        return os.fdopen(file, "rb")
    except BaseException:
        os.close(file)
        raise


def open_private(path: Path | str, flags: int) -> int:
    """A file that is this user's alone, open; made if `flags` say so. It can be the `opener` of `open`.

    Raises:
        FileNotFoundError: it is not there.
        ValidationError: it cannot be opened, is no regular file or a symbolic link, belongs to another user, or may be
            read or written by others.
    """
    try:
        file = open_regular(path, flags)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ValidationError(f"{_shown(path)} cannot be opened: {_reason(error)}") from error
    try:
        _check_private(path, os.fstat(file))
    except BaseException:
        os.close(file)
        raise
    return file


def read_private(path: Path, most_bytes: int) -> bytes:
    """The content of a file that holds secrets, or that decides whom they are sent to.

    Raises:
        FileNotFoundError: it is not there.
        ValidationError: as above, or it is too large.
    """
    with open(path, "rb", opener=open_private) as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValidationError(f"{_shown(path)} has more than {most_bytes:,} bytes: it is not the file that is expected")
    return content


def open_regular(path: Path | str, flags: int, folder: int | None = None) -> int:
    """A file, open, if it is a regular one.

    Args:
        path: to it, or its name in `folder`. A symbolic link is not followed.
        flags: as in `os.open`.
        folder: that is open.

    Raises:
        OSError: it cannot be opened, or is something else.
    """
    with suppress(FileNotFoundError):
        stat_regular(path, folder)  # before it is opened, for that alone does something with a device
    file = os.open(path, flags | _WITHOUT_EFFECT, 0o600, dir_fd=folder)
    try:
        _check_regular(os.fstat(file))
        os.set_blocking(file, True)
    except BaseException:
        os.close(file)
        raise
    return file


def stat_regular(path: Path | str, folder: int | None = None) -> os.stat_result:
    """What is known of a regular file.

    Raises:
        OSError: it is not there, or something else.
    """
    found = os.stat(path, dir_fd=folder, follow_symlinks=False)
    _check_regular(found)
    return found


def check_home(home: Path, *, most_mode: int = 0o755) -> None:
    """Make sure that no other user could have prepared, or can exchange, what is in a folder; it need not be there.

    Args:
        home: the home, or a folder in it.
        most_mode: the permissions that it may have.

    Raises:
        ValidationError: says which folder, what is wrong with it, and what to do.
    """
    _check_home(home, most_mode, make=False)


def make_home(home: Path, *, most_mode: int = 0o755) -> None:
    """The same; what is missing is made, for this user alone.

    Raises:
        ValidationError: as above, or it cannot be made.
    """
    _check_home(home, most_mode, make=True)


def _check_home(home: Path, most_mode: int, *, make: bool) -> None:
    try:
        with _following(home, _check_parent, make=make) as (parent, name):
            folder = os.open(name, _FOLDER, dir_fd=parent)
    except FileNotFoundError as error:
        if make:
            _refuse_home(home, _reason(error))
        return
    except (OSError, ValueError) as error:
        _refuse_home(home, _reason(error))
    try:
        found = os.fstat(folder)
    finally:
        os.close(folder)
    if found.st_uid != os.geteuid() or not _is_known(found.st_uid):
        _refuse_home(home, f"it belongs to {_user(found.st_uid)}", "run this as that user, or ")
    mode = stat.S_IMODE(found.st_mode)
    if excess := mode & 0o077 & ~most_mode:
        how = "write" if excess & 0o022 else "read"
        remedy = f"chmod {mode & most_mode:04o} {_shown(home)} if nothing in it is another user's, or "
        _refuse_home(home, f"others may {how} it (mode {mode:04o})", remedy)


def _check_parent(folder: int) -> None:
    """Refuse a folder in which another user can exchange what a name means.

    An owner that has no number in this user namespace passes: there, the system's own folders have none.
    """
    found = os.fstat(folder)
    if _is_known(found.st_uid) and not _is_trusted(found.st_uid):
        raise _RefusedError(f"a folder above it belongs to {_user(found.st_uid)}")
    if found.st_mode & stat.S_ISVTX:
        return
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and _has_others(found.st_gid)):
        raise _RefusedError(f"others may write a folder above it (mode {stat.S_IMODE(found.st_mode):04o})")


class _RefusedError(OSError):
    """Something on the way, in our words."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)


@contextmanager
def _following(path: Path, visit: _Visit = lambda _: None, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Where a path leads: an open folder, and the name in it, which was no symbolic link just now.

    Args:
        path: of what is looked for.
        visit: called with each folder on the way.
        make: whether folders that are missing are made, the last one too.
    """
    rest = deque(path.absolute().parts[1:])
    folder, links = os.open("/", _FOLDER), 0
    try:
        while True:
            visit(folder)
            name = rest.popleft() if rest else "."
            if make:
                _make_folder(name, folder)
            target = _read_link(name, folder)
            if target is not None:
                links += 1
                rest.extendleft(reversed(target.parts[target.is_absolute() :]))
                name = "/" if target.is_absolute() else "."
            elif not rest:
                break
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            folder, passed = os.open(name, _FOLDER, dir_fd=folder), folder
            os.close(passed)
        yield folder, name
    finally:
        os.close(folder)


def _make_folder(name: str, parent: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)


def _read_link(name: str, folder: int) -> Path | None:
    """Where a symbolic link leads; None if it is none."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        return None
    if not _is_trusted(found.st_uid):
        raise _RefusedError(
            f"{printable(name)} is a symbolic link of {_user(found.st_uid)}; give the path that it leads to"
        )
    target = os.readlink(name, dir_fd=folder)
    after = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if (after.st_dev, after.st_ino, after.st_ctime_ns) != (found.st_dev, found.st_ino, found.st_ctime_ns):
        raise _RefusedError(f"{printable(name)} was exchanged while it was read")
    return Path(target)


def _check_regular(found: os.stat_result) -> None:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFLNK: "a symbolic link",
    }
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        raise _RefusedError(f"it is {kinds.get(kind, 'a device')}; only a regular file is read")


def _is_pipe(path: Path) -> bool:
    """Whether this leads to a pipe, as `/dev/stdin` and `<(command)` do by a link whose text is no path."""
    try:
        return path.is_fifo()
    except OSError:
        return False


def _check_private(path: Path | str, found: os.stat_result) -> None:
    if not _is_trusted(found.st_uid):
        raise ValidationError(f"{_shown(path)} belongs to {_user(found.st_uid)}: it is not read")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValidationError(
            f"{_shown(path)} may be read by others than its owner (mode {stat.S_IMODE(found.st_mode):04o}): "
            f"chmod 600 {_shown(path)} if you made it"
        )


def _is_trusted(uid: int) -> bool:
    """Whether what belongs to a user is this user's, or the system's."""
    return uid in (0, os.geteuid()) and _is_known(uid)


def _is_known(uid: int) -> bool:
    """Whether an owner's number is his own: in a user namespace, all users from outside share one, even with us."""
    try:
        ranges = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:  # not Linux
        return True
    return any(int(first) <= uid < int(first) + int(count) for first, _, count in map(str.split, ranges))


def _has_others(gid: int) -> bool:
    """Whether a group has members besides this user and root; many systems give each user one of his own."""
    try:
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        members = set()
    members |= {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid}
    return not members <= {_name(0), _name(os.geteuid())}


def _user(uid: int) -> str:
    if not _is_known(uid):
        return "a user outside of this user namespace"
    return f"another user ({_name(uid)})" if uid != os.geteuid() else "this user"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _shown(path: Path | str) -> str:
    return printable(str(path), _SHOWN)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__


def _refuse_input(path: Path, why: str) -> NoReturn:
    raise ValidationError(f"input: {_shown(path)} {why}")


def _refuse_home(home: Path, why: str, remedy: str = "") -> NoReturn:
    where = _shown(home.absolute())
    raise ValidationError(f"BATCH_ROUTER_HOME: {where} is not used: {why}; {remedy}set it to another folder")
