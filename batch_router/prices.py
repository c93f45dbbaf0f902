"""The operator's table of prices: the TOML file that BATCH_ROUTER_PRICES names.

[[prices]]
provider = "openai"
model = "gpt-5-mini"
since = 2026-01-01
input = 0.10
output = 0.80

[[hours]]
provider = "vllm"
since = 2026-01-01
hour = 2.50
"""

import sys
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import msgspec

from .core import HourPrice, Price, Prices
from .exceptions import ValidationError
from .security.files import open_input
from .security.printable import printable

_LONGEST = 1 << 20  # bytes of the file
_SHOWN = 200
_NAMES = ("prices", "hours")


# As they are written: a name that they do not have is a mistake.
class _Price(Price, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class _Hour(HourPrice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


_AnyPrice = TypeVar("_AnyPrice", Price, HourPrice)


def read_prices(file: Path | None) -> Prices:
    """The prices of a file; none without one.

    Raises:
        ValidationError: it cannot be read, or an entry is wrong; says which.
    """
    if file is None:
        return Prices()
    try:
        tables = _tables(_read(file))
        return Prices(_entries(tables, "prices", Price, _Price), _entries(tables, "hours", HourPrice, _Hour))
    except ValidationError as error:
        raise ValidationError(f"BATCH_ROUTER_PRICES: {printable(str(file), _SHOWN)}: {error}") from None


def _read(file: Path) -> str:
    try:
        with open_input(file, sys.maxsize) as stream:
            content = stream.read(_LONGEST + 1)
    except (ValidationError, OSError):
        raise ValidationError("it cannot be read: it must be a file that this user can read") from None
    if len(content) > _LONGEST:
        raise ValidationError(f"it has more than {_LONGEST:,} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValidationError("it is not UTF-8") from None


def _tables(text: str) -> dict[str, list[object]]:
    try:
        tables = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ValidationError(f"it is not a TOML file: {printable(str(error), _SHOWN)}") from None
    others = [name for name, table in tables.items() if name not in _NAMES or not isinstance(table, list)]
    if others or not tables:
        found = f", not {printable(others[0], _SHOWN)!r}" if others else ""
        raise ValidationError(f"each price is an entry below [[prices]] or [[hours]]{found}")
    return tables


def _entries(
    tables: dict[str, list[object]], name: str, kind: type[_AnyPrice], written: type[_AnyPrice]
) -> list[_AnyPrice]:
    found: dict[tuple[object, ...], _AnyPrice] = {}
    for number, table in enumerate(tables.get(name, ()), 1):
        where = f"{_named(number, table)} of [[{name}]]"
        try:
            price = kind(**msgspec.structs.asdict(msgspec.convert(table, written)))
        except msgspec.ValidationError as error:
            raise ValidationError(f"{where}: {_explain(error)}") from None
        if found.setdefault((price.provider, price.model, price.since), price) is not price:
            raise ValidationError(f"{where}: there is another one of this model and day")
    return list(found.values())


def _named(number: int, table: object) -> str:
    """As in `entry 2 (openai, gpt-5-mini)`."""
    names = [table.get(each) for each in ("provider", "model")] if isinstance(table, dict) else []
    shown = ", ".join(printable(name, _SHOWN // 2) for name in names if isinstance(name, str))
    return f"entry {number} ({shown})" if shown else f"entry {number}"


def _explain(error: msgspec.ValidationError) -> str:
    what, _, where = str(error).partition(" - at `$.")
    return printable(f"{where.rstrip('`')}: {what}" if where else what.removesuffix(" - at `$`"), _SHOWN)
