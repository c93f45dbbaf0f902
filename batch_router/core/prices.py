"""What tokens cost, and hours of own GPUs: prices by provider, model and day, in US dollars, which are never floats."""

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from ..exceptions import ValidationError
from .responses import Usage
from .shown import Shown
from .tokens import Tokens

# With these bounds the cost of 10^12 tokens is exact: Python's decimals have 28 digits.
_BELOW = 1_000_000
_DECIMALS = 9
# How the providers write the day of a model: gpt-5-mini-2025-08-07, claude-haiku-4-5-20251001.
_DAY = re.compile(r"-20\d\d-?[01]\d-?[0-3]\d$")
_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Price(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """What a million tokens of a model cost in a batch, from one day on.

    Attributes:
        model: as rows name it.
        since: the first day (UTC) of the price.
        input: dollars for a million tokens of prompts that neither are read from the cache nor written to it.
        output: dollars for a million tokens of answers, reasoning included.
        cached_input: the same of prompts that are read from the provider's cache; None: as `input`.
        cache_write: the same of prompts that are written to it; None: as `input`.
        list_factor: how many times as much the same tokens cost outside of batches; None: unknown.

    Raises:
        ValidationError: a number is negative, too large, or has too many decimals.
    """

    provider: _Name
    model: _Name
    since: date
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    list_factor: Decimal | None = None

    def __post_init__(self) -> None:
        for name in ("input", "output", "cached_input", "cache_write", "list_factor"):
            if (rate := getattr(self, name)) is not None:
                _check(name, rate)

    def cost(self, tokens: Tokens | Usage) -> Decimal:
        """What these tokens cost in a batch, in dollars, to the last digit."""
        cached, written = tokens.cached_tokens or 0, tokens.cache_write_tokens or 0
        plain = max(0, (tokens.input_tokens or 0) - cached - written)
        total = plain * self.input + (tokens.output_tokens or 0) * self.output
        total += cached * (self.input if self.cached_input is None else self.cached_input)
        total += written * (self.input if self.cache_write is None else self.cache_write)
        return total.scaleb(-6).normalize() if total else Decimal(0)

    def list_cost(self, tokens: Tokens) -> Decimal | None:
        """What they cost outside of batches; None: unknown."""
        return None if self.list_factor is None else self.cost(tokens) * self.list_factor


class HourPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What an hour costs in which a machine of one's own runs a job, from one day on.

    Attributes:
        model: that runs; None: any other one.
        since: the first day (UTC) of the price.
        hour: dollars for an hour of the whole machine, or of what the engine has of it.

    Raises:
        ValidationError: the number is negative, too large, or has too many decimals.
    """

    provider: _Name
    model: _Name | None = None
    since: date
    hour: Decimal

    def __post_init__(self) -> None:
        _check("hour", self.hour)

    def cost(self, seconds: float) -> Decimal:
        """What a run of this time costs, in dollars, to a billionth."""
        exact = self.hour * Decimal(round(seconds * 1000)) / 3_600_000
        return round(exact, _DECIMALS).normalize() if exact else Decimal(0)


class Prices:
    """A table of prices: of tokens, and of hours of own machines."""

    def __init__(self, prices: Iterable[Price] = (), hours: Iterable[HourPrice] = ()) -> None:
        self._prices: dict[tuple[str, str], list[Price]] = defaultdict(list)
        for price in sorted(prices, key=lambda each: each.since, reverse=True):
            self._prices[price.provider, _plain(price.model)].append(price)
        self._hours = sorted(hours, key=lambda each: (each.model is None, -each.since.toordinal()))

    def hour(self, provider: str, model: str, at: float) -> HourPrice | None:
        """The price of an hour that holds on a day, of the model or else of any; None: hours have none."""
        day = datetime.fromtimestamp(at, UTC).date()
        of_provider = (each for each in self._hours if each.provider == provider and each.since <= day)
        return next((each for each in of_provider if each.model in (model, None)), None)

    def find(self, provider: str, model: str, at: float) -> Price | None:
        """The price that holds on a day; None: unknown.

        A model whose name ends with a day has the price of that name, else of the name without the day. A `models/` in
        front does not count.

        Args:
            provider: of the job.
            model: that its rows name.
            at: a moment of the day (UTC), seconds since 1970.
        """
        day = datetime.fromtimestamp(at, UTC).date()
        name = _plain(model)
        for each in (name, _DAY.sub("", name)):
            for price in self._prices.get((provider, each), ()):
                if price.since <= day:
                    return price
        return None


def _plain(model: str) -> str:
    return model.removeprefix("models/")


def _check(name: str, rate: Decimal) -> None:
    if not rate.is_finite() or not 0 <= rate < _BELOW:
        raise ValidationError(f"{name} must be a number from 0 to {_BELOW:,}")
    if round(rate, _DECIMALS) != rate:
        raise ValidationError(f"{name} has more than {_DECIMALS} decimals")
