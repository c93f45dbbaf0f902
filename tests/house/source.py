"""The source that is measured: what the wheel holds, and the entry points of the checkout."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

FOLDERS = ("batch_router", "workers")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """A file of the source; `path` is relative to the checkout."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def matches(self, patterns: list[str]) -> list[str]:
        """The patterns that name this file; `*` also matches `/`."""
        return [pattern for pattern in patterns if fnmatchcase(self.path, pattern)]


class Measure(NamedTuple):
    """A row of the table; the house is in order where `faults` is empty."""

    name: str
    value: str
    bound: str
    faults: list[str]


def read_modules(root: Path) -> list[Module]:
    files = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))
    texts = [(str(path.relative_to(root)), path.read_text()) for path in files]
    return [Module(path, text, ast.parse(text)) for path, text in texts]
