"""Numbers of ids, such as `batch_000001`."""

import re
from pathlib import Path

_NUMBER = re.compile(r"\d{6,}")


def next_number(folder: Path) -> int:
    """The number after those in the names of a folder, which an earlier simulator may have left."""
    found = (_NUMBER.search(path.name) for path in folder.glob("*"))
    return 1 + max((int(each[0]) for each in found if each), default=0)
