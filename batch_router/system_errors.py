"""What the system refuses, such as a write to a full disk, in a sentence with its remedy."""

import errno
import os

_NOT_WRITABLE = "make it writable for this user, or set BATCH_ROUTER_HOME to a folder that is"
_REMEDIES = {
    errno.ENOSPC: "free some space, or set BATCH_ROUTER_HOME to a folder on another disk",
    errno.EDQUOT: "free some space, or set BATCH_ROUTER_HOME to a folder on another disk",
    errno.EFBIG: "raise the limit of this user's files (`ulimit -f`)",
    errno.EACCES: _NOT_WRITABLE,
    errno.EPERM: _NOT_WRITABLE,
    errno.EROFS: _NOT_WRITABLE,
    errno.EADDRINUSE: "choose another port; 0 takes any free one",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
}


def describe(error: OSError) -> str:
    """The sentence."""
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None
    what = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0)
    return ": ".join(part for part in (where, what, remedy) if part)
