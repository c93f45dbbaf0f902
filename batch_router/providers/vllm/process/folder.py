"""The folder of this home's engines: their records, an empty folder that they work in, and the templates of batches."""

import hashlib
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from ....exceptions import FileOperationError, ValidationError
from ....security.files import make_home, open_regular

# Seconds that a template is kept: longer than any job that may need it again.
_KEPT = 30 * 86400.0


class EngineFolder:
    """A folder for this user alone.

    Args:
        path: where it is; made when it is first needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def working_folder(self) -> Path:
        """An empty folder: in another one a model's name might be that of a folder, and Python would import from it."""
        empty = self._made("empty")
        for found in empty.iterdir():
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found)
            else:
                found.unlink()
        return empty

    def keep_template(self, template: str) -> Path:
        """A file with a batch's chat template. vLLM itself would take its text for a path, and open it."""
        content = template.encode(errors="replace")
        folder = self._made("templates")
        for found in folder.iterdir():
            with suppress(FileNotFoundError):  # another worker's engines are here, too
                if found.stat().st_mtime < time.time() - _KEPT:
                    found.unlink()
        path = folder / f"{hashlib.sha256(content).hexdigest()}.jinja"
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        with open(temporary, "wb", opener=open_regular) as stream:
            stream.write(content)
        temporary.replace(path)
        return path

    def make(self) -> Path:
        """The folder, for the records of servers.

        Raises:
            FileOperationError: another user could have prepared it.
        """
        return _make(self.path)

    def _made(self, name: str) -> Path:
        return _make(self.path / name)


def _make(folder: Path) -> Path:
    try:
        make_home(folder, most_mode=0o700)
    except ValidationError as error:
        raise FileOperationError(str(error)) from error
    return folder
