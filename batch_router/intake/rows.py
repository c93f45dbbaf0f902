"""An input row, in any of its forms, as it goes on: native, or as a unified request; with the batch's defaults.

a row of the provider's own batch files        goes as it stands: see `providers.NativeFormat`
{"custom_id", "messages", ...}                 a unified request; leading system messages become its system_prompt
{"custom_id", "prompt", ...}                   the short form
a row of another provider's batch files        is translated: see `dialects`
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Any

import msgspec
from msgspec.structs import replace

from ..bounds import Bounds, beyond
from ..core import Endpoint, NativeRow, UnifiedRequest
from ..core.requests import written_request
from ..exceptions import ValidationError
from ..jsonl import LARGE_LINE, TOO_DEEP, Line, LongLine, has_more_values, is_clean
from ..providers import NativeFormat
from .broken import explain_broken
from .dialects import translate
from .encode import Row
from .faults import describe_faults, explain_native
from .losses import Translated
from .options import Defaults
from .problems import BadRow, Problems

_decode_request = msgspec.json.Decoder(UnifiedRequest).decode
_UNREAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NOT_UTF8 = "not valid UTF-8; save the file as UTF-8"
_NO_MODEL = "model: missing; give it in the row, or for the whole batch with model="


class RowReader:
    """Reads the rows of one batch.

    Args:
        native: the form of rows that go to the provider as they stand, if it has one.
        defaults: what holds for rows that leave it out.
        problems: takes what is wrong with rows.
        bounds: of a row.
    """

    def __init__(self, native: NativeFormat | None, defaults: Defaults, problems: Problems, bounds: Bounds) -> None:
        self._native = native
        self._defaults = defaults
        self._problems = problems
        self._bounds = bounds
        self._endpoint = defaults.endpoint or Endpoint.CHAT
        self._schema = defaults.generation_config.output_schema if defaults.generation_config else None
        self._fills = _says_more_than_a_model(defaults)
        # Reads the form of the row before: most rows of a batch have one form.
        self._usual: Callable[[bytes], Row | Translated | None] = _decode_request

    def read(self, lines: Iterable[Line]) -> Iterator[tuple[int, Row | Translated]]:
        """`(line, row)` of each good row; bad ones go to `problems`, blank lines are passed over."""
        for number, line in enumerate(lines, 1):
            if isinstance(line, LongLine) or len(line) > LARGE_LINE:
                if problem := too_large(line, self._bounds):
                    self._problems.add(number, problem)
                    continue
                assert isinstance(line, bytes)
            row: Row | Translated | None
            try:
                try:
                    row = self._usual(line)
                except _UNREAD:
                    row = None
                if row is None:
                    if not line or line.isspace():
                        continue
                    row = self._read_another_form(line)
                if row.model is None or self._fills:
                    row = self._complete(row)
            except BadRow as error:
                self._problems.add(number, error)
                continue
            yield number, row

    def _read_another_form(self, line: bytes) -> Row | Translated:
        """A row that has another form than the one before; or the same, for a better word on what is wrong."""
        native = self._native
        wrong: Exception | None = None
        if native is not None:
            try:
                row = self._read_native(line)
            except _UNREAD as error:
                wrong = error
            else:
                self._usual = self._read_native
                if row is not None:
                    return row
        value = _parse(line)
        if native is not None and isinstance(wrong, msgspec.ValidationError) and _has(value, native.body):
            raise ValidationError(explain_native(wrong, value, native.form))
        self._usual = _decode_request
        return row_from(value, self._endpoint)

    def _read_native(self, line: bytes) -> NativeRow | None:
        assert self._native is not None
        row = self._native.read(line, self._endpoint)
        if not line.isascii() and not is_clean(line):  # what the reader passes over is sent, too
            raise ValidationError(_NOT_UTF8)
        return row

    def _complete(self, row: Row | Translated) -> Row | Translated:
        """The row with the batch's defaults."""
        if isinstance(row, NativeRow):
            return self._complete_native(row)
        if isinstance(row, Translated):
            return replace(row, request=fill_defaults(row.request, self._defaults))
        return fill_defaults(row, self._defaults)

    def _complete_native(self, row: NativeRow) -> NativeRow:
        """The row with the batch's model and schema, if it lacks one, or if the batch's model counts.

        Raises:
            ValidationError: there is no model; or the batch says what only the row can say.
        """
        native, model = self._native, self._defaults.model
        assert native is not None
        if self._fills and (given := _beside_a_model(self._defaults)):
            raise ValidationError(f"{given}: a row {native.form} is sent as it stands; put that into its {native.body}")
        if self._schema is not None and (body := native.with_output_schema(row, self._schema)) is not None:
            row = replace(row, body=body, output_schema=self._schema)
        if model and (row.model is None or self._defaults.replace_model):
            return replace(row, model=model, body=native.with_model(row, model))
        if row.model is None and row.needs_model:
            raise ValidationError(_NO_MODEL)
        return row


def _has(value: Any, name: str) -> bool:
    return isinstance(value, dict) and name in value


def _says_more_than_a_model(defaults: Defaults) -> bool:
    given = (defaults.endpoint, defaults.generation_config, defaults.system_prompt)
    return defaults.replace_model or any(each is not None for each in given)


def _beside_a_model(defaults: Defaults) -> str | None:
    """The default that no native row can take."""
    if defaults.system_prompt is not None:
        return "system_prompt"
    config = defaults.generation_config
    if config is None:
        return None
    return next((f"generation_config.{name}" for name in config.to_dict() if name != "output_schema"), None)


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
    if request.model is None or defaults.replace_model:
        if not defaults.model:
            raise ValidationError(_NO_MODEL)
        filled["model"] = defaults.model
    if request.endpoint is None and defaults.endpoint is not None:
        filled["endpoint"] = defaults.endpoint
    if request.system_prompt is None and defaults.system_prompt is not None:
        filled["system_prompt"] = defaults.system_prompt
    if defaults.generation_config is not None:
        own = request.generation_config
        filled["generation_config"] = own.over(defaults.generation_config) if own else defaults.generation_config
    return replace(request, **filled) if filled else request


def row_from(value: Any, endpoint: Endpoint = Endpoint.CHAT) -> UnifiedRequest | Translated:
    """The row that plain data holds, in any form but the native one.

    Args:
        value: the row.
        endpoint: of a row of an OpenAI batch file that does not say what it asks for.

    Raises:
        ValidationError: what is wrong with it, and in which field.
    """
    if not isinstance(value, dict):
        raise ValidationError(f"a request must be an object, not {type(value).__name__}")
    translated = translate(value, endpoint)
    return request_from(value) if translated is None else translated


def request_from(value: dict[str, Any]) -> UnifiedRequest:
    """The unified request that plain data holds, in its full or its short form.

    Raises:
        ValidationError: what is wrong with it, and in which field.
    """
    value = _to_unified(value)
    try:
        return msgspec.convert(value, UnifiedRequest)
    except msgspec.ValidationError:
        raise ValidationError(describe_faults(value)) from None


def _parse(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValidationError(explain_broken(line, error)) from None
    except RecursionError:
        raise ValidationError(TOO_DEEP) from None


def _to_unified(value: dict[str, Any]) -> dict[str, Any]:
    if "prompt" in value and "messages" not in value:
        if not isinstance(value["prompt"], (str, list)) or not value["prompt"]:
            raise ValidationError("prompt: must be a text, or a list of content parts, that is not empty")
        rest = {key: each for key, each in value.items() if key != "prompt"}
        value = rest | {"messages": [{"role": "user", "content": value["prompt"]}]}
    return _lift_system_messages(written_request(value))


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
