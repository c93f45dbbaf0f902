"""The one place that turns names into paths: they come from the store and from providers, and never lead elsewhere."""

import re
from pathlib import Path

from ..exceptions import FileOperationError

# Letters, digits, `_`, `-` and, inside, `.`: no part is `..`, hidden, empty or absolute. File systems take 255 bytes.
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}"
_NAME = re.compile(rf"{_PART}(?:/{_PART}){{0,7}}")
_SHOWN = 100


def check_name(name: str) -> str:
    """The name of an object: folders and a last part, joined by `/`.

    Raises:
        FileOperationError: it is not one that we could have made; the storage does not touch it.
    """
    if _NAME.fullmatch(name) is None:
        raise FileOperationError(f"{name[:_SHOWN]!r} is not the name of an object of batch_router; nothing was touched")
    return name


def path_below(root: Path, name: str) -> Path:
    """The path of the object `name` in the folder `root`.

    Raises:
        FileOperationError: it is no name of an object.
    """
    return root / check_name(name)
