"""How often a dict of anything stands where a record could: outside the borders, at most 3 times per 1,000 lines.

Another name for it (`Page = dict[str, Any]`) counts wherever it is used.
"""

import re

from .source import Measure, Module

_UNTYPED = r"\b(?:dict|Mapping|MutableMapping)\[str, Any\]"
_ALIAS = re.compile(rf"^(?:type )?(\w+)(?:: TypeAlias)? = {_UNTYPED}$", re.MULTILINE)
_IMPORT = re.compile(r"^(?:from|import) .*?(?:\((?:[^)]*)\)|$)", re.MULTILINE)
_PER_1000 = 3.0


def measure_untyped(modules: list[Module], borders: dict[str, str]) -> list[Measure]:
    """Count `dict[str, Any]`; `borders` has the patterns of the files that may use it freely, with the reasons."""
    counts = _count(modules)
    inside = [module for module in modules if not module.matches(list(borders))]
    rate = _rate(inside, counts)
    faults = _unused(modules, counts, borders)
    if rate > _PER_1000:
        most = _most({module.path: counts[module.path] for module in inside})
        faults.append(f"dict[str, Any]: {rate:.1f} per 1,000 lines, most in {most}")
    return [
        Measure("dict[str, Any] per 1,000 lines", f"{rate:.1f}", f"{_PER_1000}", faults),
        Measure("... with the borders", f"{_rate(modules, counts):.1f}", "", []),
    ]


def _count(modules: list[Module]) -> dict[str, int]:
    aliases = {name for module in modules for name in _ALIAS.findall(module.text)}
    pattern = re.compile("|".join([_UNTYPED, *(rf"\b{name}\b" for name in sorted(aliases))]))
    texts = {module.path: _ALIAS.sub("", _IMPORT.sub("", module.text)) for module in modules}
    return {path: len(pattern.findall(text)) for path, text in texts.items()}


def _rate(modules: list[Module], counts: dict[str, int]) -> float:
    lines = sum(module.lines for module in modules)
    return 1000 * sum(counts[module.path] for module in modules) / max(1, lines)


def _most(counts: dict[str, int]) -> str:
    found = sorted((path for path in counts if counts[path]), key=lambda path: -counts[path])
    return ", ".join(f"{path} ({counts[path]})" for path in found[:8])


def _unused(modules: list[Module], counts: dict[str, int], borders: dict[str, str]) -> list[str]:
    used = {pattern for module in modules for pattern in module.matches(list(borders)) if counts[module.path]}
    return [f"{pattern}: listed as a border, but no file of that name needs it" for pattern in borders.keys() - used]
