"""Columns out: what a result has to say, beside the cells of its row."""

from collections.abc import Mapping
from functools import lru_cache

from ..core import Price, UnifiedResult
from .reading import TableRow

#: The columns that each result has, behind those of its schema.
COLUMNS = ("text", "status", "error", "input_tokens", "output_tokens", "cost")
_TAKEN = "answer_"


class AnswerColumns:
    """The columns of the answers to one batch.

    Args:
        schema: that the answers were asked to fit: each property is a column. Where it has none, what was parsed is one
            column, `parsed`. None: there is no schema.
    """

    def __init__(self, schema: Mapping[str, object] | None) -> None:
        properties = (schema or {}).get("properties")
        self._properties = tuple(properties) if isinstance(properties, Mapping) else ()
        self._fields = self._properties or (() if schema is None else ("parsed",))

    def beside(self, cells: TableRow, result: UnifiedResult | None, price: Price | None = None) -> dict[str, object]:
        """A row with the columns of its answer; None: there is none, and they are empty.

        A name that the table has already, or that the schema has, gets `answer_` in front: `answer_text`.
        """
        names = _names(tuple(cells), (*self._fields, *COLUMNS))
        values = (*self._parsed(result.parsed), *_common(result, price)) if result else (None,) * len(names)
        return {**cells, **dict(zip(names, values, strict=True))}

    def _parsed(self, parsed: object) -> tuple[object, ...]:
        if not self._properties:
            return (parsed,) * len(self._fields)
        return tuple(parsed.get(name) if isinstance(parsed, dict) else None for name in self._properties)


def _common(result: UnifiedResult, price: Price | None) -> tuple[object, ...]:
    """The values of `COLUMNS`."""
    error = f"{result.error.type}: {result.error.message}" if result.error else result.parse_error
    usage = result.usage
    tokens = (usage.input_tokens, usage.output_tokens) if usage else (None, None)
    cost = price.cost(usage) if price and usage and tokens != (None, None) else None
    return (result.text, str(result.status), error, *tokens, cost)


@lru_cache(64)  # of rows of any shape there may be many
def _names(taken: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    names = dict.fromkeys(taken)
    for name in wanted:
        free = name
        while free in names:
            free = _TAKEN + free
        names[free] = None
    return tuple(names)[len(dict.fromkeys(taken)) :]
