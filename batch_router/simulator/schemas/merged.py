"""Several schemas that hold at once, as one."""

from typing import Any

_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_CHOICES = ("anyOf", "oneOf")


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What fits the merged schema fits both, as far as the keywords are those that models are given."""
    both = dict(one)
    for name, value in other.items():
        both[name] = _merged_keyword(name, one[name], value) if name in one else value
    for name in _CHOICES:
        if name in one and name in other:
            both[name] = one[name]
            both["allOf"] = [*both.get("allOf", []), {name: other[name]}]
    return both


def _merged_keyword(name: str, one: Any, other: Any) -> Any:
    if name in _LEAST:
        return max(one, other)
    if name in _MOST:
        return min(one, other)
    match name:
        case "properties":
            return one | {key: _merged_schema(one.get(key, True), value) for key, value in other.items()}
        case "required":
            return [*one, *(key for key in other if key not in one)]
        case "allOf":
            return [*one, *other]
        case "enum":
            return [value for value in one if value in other]
        case "type":
            return _common_types(one, other)
        case "items" | "additionalProperties":
            return _merged_schema(one, other)
    return other


def _merged_schema(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return merged(one, other)
    return False if False in (one, other) else other if one is True else one


def _common_types(one: str | list[str], other: str | list[str]) -> list[str]:
    first, second = ([each] if isinstance(each, str) else each for each in (one, other))
    common = [each for each in first if each in second]
    is_whole = ("integer" in first and "number" in second) or ("number" in first and "integer" in second)
    return [*common, *(["integer"] if is_whole and "integer" not in common else [])]
