"""The folder of this home's engines: their records, an empty folder that they work in, and the templates of batches."""

import hashlib
import os
import shutil
from pathlib import Path

from ..opening import privately


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
        path = self._made("templates") / f"{hashlib.sha256(content).hexdigest()}.jinja"
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        with open(temporary, "wb", opener=privately) as stream:
            stream.write(content)
        temporary.replace(path)
        return path

    def make(self) -> Path:
        """The folder, for the records of servers."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.path

    def _made(self, name: str) -> Path:
        folder = self.make() / name
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder
