"""The text of an answer as data."""

from typing import Any

import msgspec

_FENCE = "```"


def read_json(text: str) -> Any:
    """The JSON value that a text is; a text that is one fenced block, as models write them, counts without its fence.

    Raises:
        ValueError: it is no JSON; says why.
    """
    try:
        return msgspec.json.decode(_unfenced(text.strip()))
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except UnicodeEncodeError:
        raise ValueError("it has a lone surrogate") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unfenced(text: str) -> str:
    if not (text.startswith(_FENCE) and text.endswith(_FENCE)):
        return text
    first, end, rest = text.partition("\n")
    inner = rest.removesuffix(_FENCE)
    return inner if end and _FENCE not in inner and first[len(_FENCE) :].strip() in ("", "json", "JSON") else text
