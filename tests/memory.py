"""The peak memory of this process."""

import re
import resource
import sys
from pathlib import Path


def peak_memory() -> int:
    """Bytes. Not from getrusage on Linux: what that says of a child begins with the size of its parent."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024
