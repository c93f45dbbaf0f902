"""Answers as data, where a row asked for JSON."""

import msgspec
from msgspec.structs import replace

from ..core import ErrorType, FinishReason, ResultError, ResultStatus, UnifiedResult
from ..core.texts import read_json
from ..security.printable import printable
from ..state.items import Shard
from .asked import AskedSchemas
from .context import Context
from .records import read_record
from .schema_check import SchemaCheck

# Characters of a text that is read as data; models write less.
_LONGEST_TEXT = 1 << 20
# Schemas of a shard whose check may take too long; each does once.
_MOST_SLOW = 10
# Brackets of a text that can be nested too deeply to be written again.
_DEEP = 500
_SHOWN = 200
_NOT_CHECKED = "not checked"


def is_invalid(result: UnifiedResult) -> bool:
    """Whether an answer that was parsed is not what was asked for; one that could not be checked may be."""
    return result.parse_error is not None and not result.parse_error.startswith(_NOT_CHECKED)


def invalid(result: UnifiedResult) -> UnifiedResult:
    """The result of a row none of whose answers fits: errored, with the last answer."""
    error = ResultError(type=ErrorType.INVALID_OUTPUT, message=result.parse_error or "", retryable=True)
    return replace(result, status=ResultStatus.ERRORED, error=error)


class AnswerParser:
    """Reads the answers of a shard as data, and checks them against the schemas that their rows asked for."""

    def __init__(self, context: Context, shard: Shard) -> None:
        self._context = context
        self._shard = shard
        self._schemas: list[dict[str, object]] | None = None
        self._checks: dict[int, SchemaCheck] = {}
        self._slow = 0

    def parse(self, result: UnifiedResult, schema: int) -> UnifiedResult:
        """The result with `parsed` and `parse_error`.

        Args:
            result: of a row that was answered.
            schema: number of the schema that the row asked for.
        """
        text = result.text
        if text is None:
            return result if result.tool_calls else replace(result, parse_error="the answer has no text")
        if len(text) > _LONGEST_TEXT:
            problem = f"the text has {len(text):,} characters: more than {_LONGEST_TEXT:,} are not read as JSON"
            return replace(result, parse_error=problem)
        try:
            data = read_json(text)
            if text.count("[") + text.count("{") > _DEEP:
                msgspec.json.encode([[data]])
        except ValueError as error:
            cut = "; it was cut off" if result.finish_reason is FinishReason.LENGTH else ""
            return replace(result, parse_error=printable(f"the text is no JSON: {error}{cut}", _SHOWN))
        except RecursionError:
            return replace(result, parse_error="the text is no JSON: nested too deeply")
        if not schema:
            return replace(result, parsed=data)
        if self._slow >= _MOST_SLOW:
            return replace(result, parsed=data, parse_error="not checked: the checks of other answers took too long")
        check = self._check(schema)
        was_slow = check.was_slow
        data, misfit = check.fit(data)
        self._slow += check.was_slow and not was_slow
        return replace(result, parsed=data, parse_error=misfit)

    def _check(self, number: int) -> SchemaCheck:
        if number not in self._checks:
            if self._schemas is None:
                self._schemas = self._read()
            self._checks[number] = SchemaCheck(self._schemas[number] if number < len(self._schemas) else {})
        return self._checks[number]

    def _read(self) -> list[dict[str, object]]:
        name = self._shard.schemas
        return [] if name is None else read_record(self._context.storage, self._shard.id, name, AskedSchemas).schemas
