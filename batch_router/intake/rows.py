"""An input row, in any of its three forms, to a `UnifiedRequest` with the batch's defaults filled in.

{"custom_id", "messages", ...}                 a unified request; leading system messages become its system_prompt
{"custom_id", "prompt", ...}                   the short form
{"custom_id", "method", "url", "body"}         a row of an OpenAI batch file
"""

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any

import msgspec
from msgspec.structs import replace

from ..bounds import Bounds, beyond
from ..core import UnifiedRequest
from ..core.record import explain
from ..exceptions import ValidationError
from ..jsonl import LARGE_LINE, TOO_DEEP, Line, LongLine, has_more_values
from .openai_rows import READERS
from .options import Defaults
from .problems import Problems

_decode_request = msgspec.json.Decoder(UnifiedRequest).decode


def read_rows(
    lines: Iterable[Line], defaults: Defaults, problems: Problems, bounds: Bounds
) -> Iterator[tuple[int, UnifiedRequest]]:
    """`(line, request)` of each good row; bad ones go to `problems`, blank lines are passed over."""
    anything = defaults != Defaults(model=defaults.model)
    for number, line in enumerate(lines, 1):
        if isinstance(line, LongLine) or len(line) > LARGE_LINE:
            if problem := too_large(line, bounds):
                problems.add(number, problem)
                continue
            assert isinstance(line, bytes)
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
                request = fill_defaults(request, defaults)
            except ValidationError as error:
                problems.add(number, error)
                continue
        yield number, request


def too_large(line: Line, bounds: Bounds) -> str | None:
    """Why a line is too large for a row; None: it is not."""
    size = line.size if isinstance(line, LongLine) else len(line) - line.endswith(b"\n")
    if size > bounds.max_row_bytes:
        return f"{size:,} bytes, {beyond('max_row_bytes', bounds.max_row_bytes)}; shorten it"
    if isinstance(line, bytes) and has_more_values(line, bounds.max_values):
        return f"too many JSON values, {beyond('max_values', bounds.max_values)}; shorten it"
    return None


def fill_defaults(request: UnifiedRequest, defaults: Defaults) -> UnifiedRequest:
    """The request with the batch's defaults; the very same one if there is nothing to fill in.

    Raises:
        ValidationError: neither says which model.
    """
    filled: dict[str, Any] = {}
    if request.model is None:
        if not defaults.model:
            raise ValidationError("model: missing; give it in the row, or for the whole batch with model=")
        filled["model"] = defaults.model
    if request.endpoint is None and defaults.endpoint is not None:
        filled["endpoint"] = defaults.endpoint
    if request.system_prompt is None and defaults.system_prompt is not None:
        filled["system_prompt"] = defaults.system_prompt
    if defaults.generation_config is not None:
        own = request.generation_config
        filled["generation_config"] = own.over(defaults.generation_config) if own else defaults.generation_config
    return replace(request, **filled) if filled else request


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
        raise ValidationError(TOO_DEEP) from None
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
    found = [part.get("text") if isinstance(part, dict) else part for part in parts]
    texts = [text for text in found if isinstance(text, str) and text]
    if not texts or len(texts) < len(found):
        raise ValidationError("messages: the content of a system message must be a text, or text parts")
    return texts
