"""How long functions and files are.

A function has the lines from its `def` to its last one, with its docstring and without its decorators; methods and
functions inside functions count as functions of their own, and also belong to the one around them. A file has all its
lines, also blank ones.
"""

import statistics

from .source import Function, Measure, Module

_MEDIAN = 6
_P90 = 18
_LONG = 40
_FILE = 400


def measure_sizes(modules: list[Module]) -> list[Measure]:
    lengths = sorted(_length(function) for module in modules for function in module.functions())
    largest = max(modules, key=lambda module: module.lines)
    long = sum(length > _LONG for length in lengths) / len(lengths)
    return [
        Measure("files, lines", f"{len(modules)}, {sum(module.lines for module in modules):,}", "", []),
        _bounded("median function", round(statistics.median(lengths)), _MEDIAN),
        _bounded("p90 function", lengths[int(0.9 * len(lengths))], _P90),
        Measure(f"functions over {_LONG} lines", f"{long:.1%}", "", []),
        Measure("largest file", f"{largest.lines} ({largest.path})", f"{_FILE}", _long_files(modules)),
    ]


def _length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _bounded(name: str, value: int, bound: int) -> Measure:
    faults = [f"{name}: {value} lines, more than {bound}"] if value > bound else []
    return Measure(name, str(value), str(bound), faults)


def _long_files(modules: list[Module]) -> list[str]:
    return [f"{each.path}: {each.lines} lines, more than {_FILE}" for each in modules if each.lines > _FILE]
