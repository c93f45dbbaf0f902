"""Numbers between bounds."""

import math
from random import Random
from typing import Any

_SPREAD = 100
_TRIES = 1000


def number_of(schema: dict[str, Any], chooser: Random, *, whole: bool) -> float:
    """A number that keeps `minimum`, `maximum`, their exclusive forms, and `multipleOf`.

    Raises:
        ValueError: there is none, or none is found soon.
    """
    low, high = _bounds(schema)
    step = schema.get("multipleOf") or (1 if whole else 0)
    if not step:
        return _inside(low + (high - low) * chooser.uniform(0.25, 0.75), low, high)
    first, last = math.ceil(low / step), math.floor(high / step)
    for number in range(first + chooser.randint(0, max(0, min(last - first, _SPREAD) // 2)), first + _TRIES):
        value = number * step
        is_multiple = float(value / step).is_integer() and (not whole or float(value).is_integer())
        if is_multiple and low <= value <= high and not _is_excluded(value, schema):
            return int(value) if whole else value
    raise ValueError("no such number")


def _inside(value: float, low: float, high: float) -> float:
    rounded = round(value, 3)
    return rounded if low < rounded < high else value


def _bounds(schema: dict[str, Any]) -> tuple[float, float]:
    """The closed bounds; those that are missing are near the other one."""
    lows = [schema[name] for name in ("minimum", "exclusiveMinimum") if _is_number(schema.get(name))]
    highs = [schema[name] for name in ("maximum", "exclusiveMaximum") if _is_number(schema.get(name))]
    high = min(highs) if highs else None
    low = max(lows) if lows else 1 if high is None or high >= 1 else high - _SPREAD
    return low, high if high is not None else low + _SPREAD


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_excluded(value: float, schema: dict[str, Any]) -> bool:
    """Whether it is one of the exclusive bounds: a number, or (as in draft 4) true beside the bound."""
    pairs = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))
    bounds = [schema.get(bound) if schema.get(name) is True else schema.get(name) for name, bound in pairs]
    return value in [bound for bound in bounds if _is_number(bound)]
