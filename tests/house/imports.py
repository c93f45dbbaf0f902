"""Imports of our own code inside functions: each hides a dependency, so each has its reason in a list."""

import ast
from collections.abc import Iterator

from .source import FOLDERS, Measure, Module


def measure_imports(modules: list[Module], allowed: dict[str, str]) -> list[Measure]:
    """Count them; `allowed` has `path imported` with the reason, as in `batch_router/cli/up.py ..simulator`."""
    found = {f"{module.path} {name}": None for module in modules for name in _inner_imports(module)}
    faults = [f"{each}: imported inside a function without a reason" for each in found if each not in allowed]
    faults += [f"{each}: listed as an inner import, but there is none" for each in allowed if each not in found]
    return [Measure("own-code imports inside functions", str(len(found)), f"{len(allowed)} listed", faults)]


def _inner_imports(module: Module) -> Iterator[str]:
    for function in module.functions():
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom) and _is_own(node):
                yield "." * node.level + (node.module or "")
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in FOLDERS)


def _is_own(node: ast.ImportFrom) -> bool:
    return node.level > 0 or (node.module or "").partition(".")[0] in FOLDERS
