"""How often a dict of anything stands where a record could: outside the borders, at most 3 times per 1,000 lines."""

import re

from .source import Measure, Module

_UNTYPED = re.compile(r"\b(?:dict|Mapping|MutableMapping)\[str, Any\]")
_PER_1000 = 3.0


def measure_untyped(modules: list[Module], borders: dict[str, str]) -> list[Measure]:
    """Count `dict[str, Any]`; `borders` has the patterns of the files that may use it freely, with the reasons."""
    inside = [module for module in modules if not module.matches(list(borders))]
    counts = {module.path: len(_UNTYPED.findall(module.text)) for module in inside}
    lines = sum(module.lines for module in inside)
    rate = 1000 * sum(counts.values()) / max(1, lines)
    total = 1000 * sum(len(_UNTYPED.findall(module.text)) for module in modules) / sum(each.lines for each in modules)
    faults = _unused(modules, borders)
    if rate > _PER_1000:
        faults.append(f"dict[str, Any]: {rate:.1f} per 1,000 lines, most in {_most(counts)}")
    return [
        Measure("dict[str, Any] per 1,000 lines", f"{rate:.1f}", f"{_PER_1000}", faults),
        Measure("... with the borders", f"{total:.1f}", "", []),
    ]


def _most(counts: dict[str, int]) -> str:
    found = sorted((path for path in counts if counts[path]), key=lambda path: -counts[path])
    return ", ".join(f"{path} ({counts[path]})" for path in found[:8])


def _unused(modules: list[Module], borders: dict[str, str]) -> list[str]:
    used = {pattern for module in modules for pattern in module.matches(list(borders)) if _UNTYPED.search(module.text)}
    return [f"{pattern}: listed as a border, but no file of that name needs it" for pattern in borders.keys() - used]
