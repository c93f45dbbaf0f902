"""Mistakes in a call, as sentences that say what was probably meant."""

import inspect
from collections.abc import Callable, Collection
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar, cast

from ..exceptions import ValidationError
from ..security.printable import printable

# Characters of a name that are shown, and compared.
_LONGEST = 100
_Function = TypeVar("_Function", bound=Callable[..., Any])


def unknown_option(name: str, known: Collection[str]) -> ValidationError:
    """The error for an option that does not exist."""
    name = printable(name, _LONGEST)
    close = get_close_matches(name, ["provider", *known], 1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
    return ValidationError(f"unknown option {name!r}; {hint}")


def takes_provider(function: _Function) -> _Function:
    """Let a call with wrong arguments end in a `ValidationError` like every other mistake, not in a `TypeError`."""
    signature = inspect.signature(function)

    def check(arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        try:
            signature.bind(*arguments, **options)
        except TypeError as error:
            raise _explain(function.__name__, error, options.keys() - signature.parameters.keys()) from None

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        check(arguments, options)
        return function(*arguments, **options)

    @wraps(function)
    async def call_async(*arguments: Any, **options: Any) -> Any:
        check(arguments, options)
        return await function(*arguments, **options)

    # Frameworks ask whether a function is a coroutine function: Starlette runs others in a thread.
    return cast(_Function, call_async if inspect.iscoroutinefunction(function) else call)


def _explain(name: str, error: TypeError, options: Collection[str]) -> ValidationError:
    for option in options:
        if get_close_matches(option, ["provider"]):
            return unknown_option(option, ())
    return ValidationError(f"{name}: {error}; give a provider, and options by name")
