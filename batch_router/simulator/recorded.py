"""Answers recorded from the real services, given out again byte for byte."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from .members import find_member
from .scenario import Scenario


def recorded_line(scenario: Scenario, id_field: str, row_id: str) -> bytes | None:
    """The recorded answer to a row; None if the scenario has no recording.

    A row with the id of a recorded one gets exactly that line. Any other row gets the line at the place that the
    number at the end of its id names, with only the line's own id replaced: an answer may have a field of that name.
    """
    if scenario.recorded is None:
        return None
    lines, places = _read(scenario.recorded, id_field)
    if row_id in places:
        return lines[places[row_id]]
    number = re.search(r"\d*$", row_id)
    line = lines[int(number[0] or 0) % len(lines) if number else 0]
    own = find_member(line, id_field)
    return line[: own.start] + json.dumps(row_id).encode() + line[own.end :] if own else line


def parsed(line: bytes) -> dict[str, Any]:
    """A recorded line as a value."""
    row: dict[str, Any] = json.loads(line)
    return row


@cache
def _read(path: str, id_field: str) -> tuple[list[bytes], dict[str, int]]:
    lines = [line + b"\n" for line in Path(path).read_bytes().split(b"\n") if line.strip()]
    if not lines:
        raise ValueError(f"{path} has no recorded answers")
    return lines, {json.loads(line).get(id_field): number for number, line in enumerate(lines)}
