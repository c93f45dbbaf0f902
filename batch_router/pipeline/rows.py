"""An input row, in any of its three forms, to a `UnifiedRequest` with the batch's defaults filled in.

{"custom_id", "messages", ...}                 a unified request; leading system messages become its system_prompt
{"custom_id", "prompt", ...}                   the short form
{"custom_id", "method", "url", "body"}         a row of an OpenAI batch file
"""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise, takewhile
from pathlib import Path
from typing import Any

import msgspec

from ..core import Endpoint, GenerationConfig, UnifiedRequest
from ..core.record import explain
from ..exceptions import MAX_PROBLEMS, InvalidInputError, ValidationError
from ..jsonl import read_lines
from ..providers.chat_rows import READERS

_decode_request = msgspec.json.Decoder(UnifiedRequest).decode


class Defaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the batch says for rows that do not say it themselves."""

    model: str | None = None
    endpoint: Endpoint | None = None
    system_prompt: str | list[str] | None = None
    generation_config: GenerationConfig | None = None


def read_rows(lines: Iterable[bytes], defaults: Defaults, problems: "Problems") -> Iterator[tuple[int, UnifiedRequest]]:
    """`(line, request)` of each good row; bad ones go to `problems`, blank lines are passed over."""
    anything = defaults != Defaults(model=defaults.model)
    for number, line in enumerate(lines, 1):
        try:
            request = _decode_request(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if not line or line.isspace():
                continue
            try:
                request = _parse_other_form(line)  # or the same form, for a better word on what is wrong
            except ValidationError as error:
                problems.add(number, error)
                continue
        if request.model is None or anything:
            try:
                fill_defaults(request, defaults)
            except ValidationError as error:
                problems.add(number, error)
                continue
        yield number, request


def read_custom_ids(path: Path, defaults: Defaults, limit: int | None = None) -> Iterator[tuple[int, str]]:
    """`(line, custom_id)` of each good row of a file, or of its first `limit` lines."""
    with path.open("rb") as stream:
        for number, request in read_rows(islice(read_lines(stream), limit), defaults, Problems(str(path))):
            yield number, request.custom_id


def fill_defaults(request: UnifiedRequest, defaults: Defaults) -> UnifiedRequest:
    """The request, changed in place, with the batch's defaults.

    Raises:
        ValidationError: neither says which model.
    """
    if request.model is None:
        if not defaults.model:
            raise ValidationError("model: missing; give it in the row, or for the whole batch with model=")
        request.model = defaults.model
    if request.endpoint is None:
        request.endpoint = defaults.endpoint
    if request.system_prompt is None:
        request.system_prompt = defaults.system_prompt
    if defaults.generation_config is not None:
        own = request.generation_config
        request.generation_config = own.over(defaults.generation_config) if own else defaults.generation_config
    return request


def request_from(value: Any) -> UnifiedRequest:
    """The request that plain data holds, in any of the three forms.

    Raises:
        ValidationError: what is wrong with it, and in which field.
    """
    if not isinstance(value, dict):
        raise ValidationError(f"a request must be an object, not {type(value).__name__}")
    try:
        return msgspec.convert(_to_unified(value), UnifiedRequest)
    except msgspec.ValidationError as error:
        raise ValidationError(explain(error)) from None


def _parse_other_form(line: bytes) -> UnifiedRequest:
    try:
        value = msgspec.json.decode(line)
    except msgspec.MsgspecError as error:
        raise ValidationError(f"not valid JSON: {error}; each line must be one JSON object") from None
    except UnicodeDecodeError:
        raise ValidationError("not valid UTF-8; save the file as UTF-8") from None
    except RecursionError:
        raise ValidationError("nested too deeply") from None
    return request_from(value)


def _to_unified(value: dict[str, Any]) -> dict[str, Any]:
    if "body" in value:
        value = _from_openai_row(value)
    elif "prompt" in value and "messages" not in value:
        if not isinstance(value["prompt"], (str, list)) or not value["prompt"]:
            raise ValidationError("prompt: must be a text, or a list of content parts, that is not empty")
        rest = {key: each for key, each in value.items() if key != "prompt"}
        value = rest | {"messages": [{"role": "user", "content": value["prompt"]}]}
    return _lift_system_messages(value)


def _from_openai_row(value: dict[str, Any]) -> dict[str, Any]:
    unknown = value.keys() - {"custom_id", "method", "url", "body"}
    if unknown:
        raise ValidationError(f"unknown field {sorted(unknown)[0]!r} in an OpenAI batch row")
    reader = READERS.get(str(value.get("url")))
    if reader is None:
        raise ValidationError(f"url: {value.get('url')!r} is not supported; these are: {', '.join(READERS)}")
    if value.get("method", "POST") != "POST":
        raise ValidationError(f"method: must be 'POST', not {value['method']!r}")
    if not isinstance(value["body"], dict):
        raise ValidationError("body: must be an object")
    return reader(value.get("custom_id"), value["body"])


def _lift_system_messages(value: dict[str, Any]) -> dict[str, Any]:
    messages = value.get("messages")
    if not isinstance(messages, list):
        return value
    leading = list(takewhile(_is_system, messages))
    if not leading:
        return value
    if len(leading) == len(messages):
        raise ValidationError("messages: only a system prompt; at least one turn of the user is needed")
    if value.get("system_prompt"):
        raise ValidationError("system_prompt: given twice, as a field and as a system message; keep one")
    prompts = [text for message in leading for text in _texts(message.get("content"))]
    return value | {
        "messages": messages[len(leading) :],
        "system_prompt": prompts if len(prompts) > 1 else prompts[0],
    }


def _is_system(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") in ("system", "developer")


def _texts(content: Any) -> list[str]:
    parts = content if isinstance(content, list) else [content]
    said = [part.get("text") if isinstance(part, dict) else part for part in parts]
    texts = [text for text in said if isinstance(text, str) and text]
    if not texts or len(texts) < len(said):
        raise ValidationError("messages: the content of a system message must be a text, or text parts")
    return texts


class Problems:
    """The bad rows of an input: the first ones described, all counted."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._described: list[str] = []
        self.total = 0

    def add(self, line: int, error: object) -> None:
        """Note what is wrong with a line (counted from 1)."""
        self.total += 1
        if len(self._described) < MAX_PROBLEMS:
            self._described.append(f"{self._source}, line {line}: {error}")

    def raise_any(self) -> None:
        """Raise if there were any.

        Raises:
            InvalidInputError: with all that were described.
        """
        if self.total:
            raise InvalidInputError(self._described, self.total)


class DuplicateFinder:
    """Finds repeated `custom_id`s among millions in 8 bytes each: their hashes, in sorted runs.

    Different ids may share a hash, however unlikely, so `report` looks at the rows themselves once more.
    """

    _RUN = 1 << 14
    _MOST = 1000  # repeated ids that are looked at; beyond, they are only counted

    def __init__(self) -> None:
        self._runs: list[array[int]] = []
        self._fresh: list[int] = []

    def add(self, custom_id: str) -> None:
        """Take in an id."""
        self._fresh.append(hash(custom_id))
        if len(self._fresh) == self._RUN:
            self._end_run()

    def report(self, reread: Callable[[], Iterator[tuple[int, str]]], problems: Problems) -> None:
        """Add each repeated id to `problems`; `reread` gives `(line, custom_id)` again, and is called if need be."""
        self._end_run()
        candidates: set[int] = set()
        uncounted = 0
        for hashes in self._slices():
            if len(set(hashes)) == len(hashes):
                continue
            for one, other in pairwise(sorted(hashes)):
                if one == other and (one in candidates or len(candidates) < self._MOST):
                    candidates.add(one)
                elif one == other:
                    uncounted += 1
        if not candidates:
            return
        first: dict[str, int] = {}
        for line, custom_id in reread():
            if hash(custom_id) in candidates and (before := first.setdefault(custom_id, line)) != line:
                problems.add(line, f"custom_id: {custom_id!r} was used before, on line {before}; make it unique")
        problems.total += uncounted

    def _slices(self) -> Iterator[list[int]]:
        """All hashes, in lists of about one run each; equal ones are in the same list."""
        width = sys.hash_info.width
        count = len(self._runs)
        edges = [(index << width) // count - (1 << width - 1) for index in range(1, count)]
        begins = [0] * count
        for edge in [*edges, 1 << width - 1]:
            ends = [bisect_left(run, edge) for run in self._runs]
            yield [each for run, begin, end in zip(self._runs, begins, ends, strict=True) for each in run[begin:end]]
            begins = ends

    def _end_run(self) -> None:
        self._runs.append(array("q", sorted(self._fresh)))
        self._fresh.clear()
