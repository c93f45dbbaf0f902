"""Texts of a length, a format or a pattern."""

from random import Random
from typing import Any

from .patterns import match_of

_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "juniper", "kelp", "larch")
_FORMATS = {
    "date-time": "2026-11-26T12:00:00Z",
    "date": "2026-11-26",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "ada@example.com",
    "idn-email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/a",
    "url": "https://example.com/a",
    "uuid": "0b9bbf4e-6c1c-4e3f-9d0a-5f4a3f7d2c11",
    "json-pointer": "/a",
    "regex": "a",
    "binary": "YQ==",
    "base64": "YQ==",
}


def text_of(schema: dict[str, Any], chooser: Random) -> str:
    """A text that keeps `minLength`, `maxLength`, `format` and `pattern`; a few words where it is free.

    Raises:
        ValueError: none is found soon.
    """
    least, most = schema.get("minLength", 0), schema.get("maxLength", 1 << 30)
    if "pattern" in schema:
        found = match_of(schema["pattern"], chooser, lambda text: least <= len(text) <= most)
        if found is None:
            raise ValueError("no such text")
        return found
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    text = " ".join(chooser.choice(_WORDS) for _ in range(3))
    while len(text) < least:
        text += " " + chooser.choice(_WORDS)
    return text[:most] if len(text[:most].strip()) >= least else text.replace(" ", "-")[:most]
