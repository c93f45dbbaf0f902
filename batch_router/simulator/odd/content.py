"""Oddities of a file of answers: each changes its bytes."""

import json

from ..members import find_member
from ..oddities import Bom, Foreign, Odd

_OTHERS = "another-job-{}"


def turn_content(content: bytes, row_id: str, odd: Odd) -> bytes:
    """The content as one oddity changes it; oddities of other things change nothing."""
    match odd:
        case Bom():
            return b"\xef\xbb\xbf" + content
        case Foreign():
            lines = [line for line in content.split(b"\n") if line]
            foreign = [_renamed(line, row_id, number) for number, line in enumerate(lines[: odd.rows])]
            unnamed = [_unnamed(line, row_id) for line in lines[: odd.unnamed]]
            return b"".join(line + b"\n" for line in [*foreign, *lines, *lines[: odd.doubled], *unnamed])
    return content


def _renamed(line: bytes, row_id: str, number: int) -> bytes:
    own = find_member(line, row_id)
    given = json.dumps(_OTHERS.format(number)).encode()
    return line[: own.start] + given + line[own.end :] if own else line


def _unnamed(line: bytes, row_id: str) -> bytes:
    return json.dumps({name: value for name, value in json.loads(line).items() if name != row_id}).encode()
