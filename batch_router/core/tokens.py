"""LLM tokens of many answers, added up."""

from collections.abc import Iterable

from .enums import ErrorType, ResultStatus
from .responses import UnifiedResult
from .shown import Shown

_SUCCEEDED = ResultStatus.SUCCEEDED  # an enum's member is slow to look up


class Tokens(Shown, frozen=True, kw_only=True):
    """Tokens of all answers that were read, also of those that are no result because their rows were asked again.

    Attributes:
        input_tokens: of the prompts, those read from and written to the provider's cache included.
        cached_tokens: of the input, those read from the cache.
        cache_write_tokens: of the input, those written to the cache.
        output_tokens: of the answers, reasoning included.
        reasoning_tokens: of the output.
        answers: how many answers these are.
        uncounted: how many more answers there are whose tokens the provider does not report, or that cannot be read.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    answers: int = 0
    uncounted: int = 0

    @property
    def total(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens


def add_up(tokens: Iterable[Tokens]) -> Tokens:
    """The sum."""
    each = list(tokens)
    return Tokens(**{name: sum(getattr(one, name) for one in each) for name in Tokens.__struct_fields__})


class TokenCounter:
    """Adds up the tokens of answers as they are read."""

    def __init__(self) -> None:
        self._input = self._cached = self._cache_write = self._output = self._reasoning = 0
        self._answers = self._uncounted = 0

    def add(self, answer: UnifiedResult) -> None:
        """Count an answer; a refusal has no tokens and costs nothing."""
        usage = answer.usage
        if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
            is_answer = answer.status is _SUCCEEDED or (answer.error and answer.error.type is ErrorType.MALFORMED)
            self._uncounted += bool(is_answer)
            return
        self._answers += 1
        self._input += usage.input_tokens or 0
        self._cached += usage.cached_tokens or 0
        self._cache_write += usage.cache_write_tokens or 0
        self._output += usage.output_tokens or 0
        self._reasoning += usage.reasoning_tokens or 0

    def sum(self) -> Tokens:
        """The tokens so far."""
        return Tokens(
            input_tokens=self._input,
            cached_tokens=self._cached,
            cache_write_tokens=self._cache_write,
            output_tokens=self._output,
            reasoning_tokens=self._reasoning,
            answers=self._answers,
            uncounted=self._uncounted,
        )
