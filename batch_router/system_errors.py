"""What the system refuses, such as a write to a full disk, in a sentence with its remedy."""

import errno
import os

_NOT_WRITABLE = "make it writable for this user, or set BATCH_ROUTER_HOME to a folder that is"
_FULL = "free some space on its disk, or move the folder of BATCH_ROUTER_HOME to another one"
_REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "raise the limit of this user's files (`ulimit -f`)",
    errno.EACCES: _NOT_WRITABLE,
    errno.EPERM: _NOT_WRITABLE,
    errno.EROFS: _NOT_WRITABLE,
    errno.EADDRINUSE: "choose another port; 0 takes any free one",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
}


def describe(error: OSError, where: str | None = None) -> str:
    """The sentence; `where` names the file in place of its path."""
    if where is None and isinstance(error.filename, str | bytes):
        where = os.fsdecode(error.filename)
    what = error.strerror or (type(error).__name__ if where else str(error) or type(error).__name__)
    return ": ".join(part for part in (where, what, _REMEDIES.get(error.errno or 0)) if part)
