"""The headers that a batch may add to the requests of its own: none that frames a request, and none that opens a door.

Headers of a batch are kept in the store and in the storage, which are no place for secrets.
"""

import re
from collections.abc import Mapping
from typing import Final

from ..exceptions import ValidationError
from .printable import printable

_MOST, _MOST_BYTES, _SHOWN = 32, 4096, 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_VALUE: Final = re.compile(r"[!-~](?:[ -~]{0,998}[!-~])?")
# RFC 9110: what says how a message is framed, routed and answered. The SDKs set the rest.
_FRAMING: Final = re.compile(
    r"(?:connection|keep-alive|te|trailers?|transfer-encoding|upgrade|host|expect|via|forwarded|range|date|user-agent"
    r"|(?:content|accept|proxy|if|sec|x-forwarded|x-stainless|x-goog-upload|access-control)(?:-.*)?)"
)
_SECRET: Final = re.compile(
    r"auth|authorization|authentication|cookies?|key|apikey|token|secret|password|passwd|credentials?|signature|session"
)
# Words that keys begin with, at the providers and elsewhere.
_KEY: Final = re.compile(r"(?i:bearer|basic) |(?:(?:sk|gsk|xai|hf|ghp|pk|nvapi|fw)[-_]|AIza|eyJ)[\w-]{8}")
_REMEDIES: Final = {
    "anthropic-beta": "name them in `betas`",
    "openai-organization": "another account's jobs are not found again; set OPENAI_ORG_ID where the workers run",
    "openai-project": "another project's jobs are not found again; set OPENAI_PROJECT_ID where the workers run",
    "x-goog-user-project": "another project's jobs are not found again; use a key of that project",
    "idempotency-key": "the shards of a batch would count as one job; leave it out",
}


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that a batch may not send.

    Raises:
        ValidationError: says which one, and what to do.
    """
    names = {name.lower() for name in headers}
    if len(names) != len(headers):
        raise ValidationError("headers: a name is there twice, in capitals and in small letters; keep one")
    size = sum(len(name) + len(value) for name, value in headers.items())
    if len(headers) > _MOST or size > _MOST_BYTES:
        raise ValidationError(f"headers: more than {_MOST}, or more than {_MOST_BYTES:,} characters; leave some out")
    for name, value in headers.items():
        if problem := _problem(name, value):
            raise ValidationError(f"headers: '{printable(name, _SHOWN)}' {problem}")


def _problem(name: str, value: str) -> str | None:
    lower = name.lower()
    if not _NAME.fullmatch(name):
        return "is no name of a header: letters, digits, '-' and '_' are"
    if remedy := _REMEDIES.get(lower):
        return f"is not taken: {remedy}"
    if _FRAMING.fullmatch(lower):
        return "is set by what sends the request; leave it out"
    if any(map(_SECRET.fullmatch, re.split("[-_]", lower))) or _KEY.match(value):
        return "looks like a secret: headers are kept in the store; keys are set where the workers run"
    if not _VALUE.fullmatch(value):
        return "has a value that no header has: 1 to 1,000 printable ASCII characters, without spaces around them"
    return None
