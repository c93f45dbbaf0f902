"""What OpenAI's chat completions and responses have in common."""

from typing import Any

import msgspec

from ...core import OutputSchema
from .given import Given
from .media import document_at, image_at
from .parts import name_of, take_marker
from .translation import Translation

#: What is said of both by leaving it out (developers.openai.com/api/reference, and the SDK's docstrings).
BODY_DEFAULTS: dict[str, tuple[object, ...]] = {
    "stream": (False,),
    "store": (False,),
    "parallel_tool_calls": (True,),
    "top_logprobs": (0,),
    "service_tier": ("auto", "default"),
    "metadata": ({},),
    "user": ("",),
}
_NO_OTHER = "no other provider reads it; send a text in its place"
_IMAGE = "send an https URL, or a `data:` URL in base64"
_PDF = "send a PDF as a `data:` URL in base64"


def read_part(part: Given) -> dict[str, Any] | None:
    """A part of a message as plain data; None, and it is lost by its kind: there is no such part elsewhere."""
    kind = part.take("type")
    match kind:
        case "text" | "input_text" | "output_text":
            return _with_marker(part, _text(part))
        case "image_url":
            return _with_marker(part, _chat_image(part))
        case "input_image":
            return _with_marker(part, _image(part, part.text("image_url"), part))
        case "file":
            return _with_marker(part, _file(part, part.member("file")))
        case "input_file":
            return _with_marker(part, _file(part, part))
    part.lose_all(name_of(kind, "part"), _NO_OTHER, is_content=True)
    return None


def _with_marker(part: Given, read: dict[str, Any] | None) -> dict[str, Any] | None:
    """The part with its cache marker (as OpenRouter and LiteLLM write it); all other keys of it are lost."""
    if read is not None:
        read = take_marker(part, read)
        part.close({"detail": ("auto",)})
    return read


def _text(part: Given) -> dict[str, Any] | None:
    text = part.text("text")
    return {"type": "text", "text": text} if text else None


def _chat_image(part: Given) -> dict[str, Any] | None:
    if isinstance(url := part.take("image_url"), str):
        return _image(part, url, part)
    image = part.inner(url, part.at("image_url"))
    read = _image(part, image.text("url"), image) if image is not None else None
    if image is not None:
        image.close()
    return read


def _image(part: Given, url: str | None, details: Given) -> dict[str, Any] | None:
    read = image_at(url) if url else None
    detail = details.text("detail")
    if read is None:
        part.lose_all("image_url" if url else "file_id", _IMAGE, is_content=True)
        return None
    return read | ({"detail": detail} if detail else {})


def _file(part: Given, file: Given | None) -> dict[str, Any] | None:
    """A document; a file that only OpenAI has, or that is no PDF, is lost."""
    if file is None:
        return None
    data, url, name = file.text("file_data"), file.text("file_url"), file.text("filename")
    read = document_at(data) if data else None
    if url and not data:
        read = {"type": "document", "source_type": "url", "media_type": "application/pdf", "data": url}
    if read is None:
        part.lose_all("file_data" if data else "file_id", _PDF, is_content=True)
        return None
    if file is not part:
        file.close()
    return read | ({"filename": name} if name else {})


def read_arguments(given: Given, value: object) -> dict[str, Any]:
    """The arguments of a call in an earlier turn; none, and they are lost: they are no JSON object."""
    try:
        arguments = msgspec.json.decode(value or "{}") if value is None or isinstance(value, str) else value
    except (msgspec.DecodeError, RecursionError):
        arguments = None
    if isinstance(arguments, dict):
        return arguments
    given.lose("arguments", "other providers want a JSON object: mend it")
    return {}


def add_function(translation: Translation, tool: Given, function: Given) -> None:
    """A tool of the user's; all other keys of it are lost."""
    read = {name: function.take(name) for name in ("name", "description", "strict")}
    read["parameters"] = function.kept("parameters")
    read = take_marker(function, take_marker(tool, read))
    function.close()
    tool.close({"defer_loading": (False,)})
    translation.add_tool(tool, read)


def set_schema(translation: Translation, given: Given, path: str) -> None:
    """The form of the answer; all other keys are lost."""
    read = {name: given.take(name) for name in ("name", "description", "strict")} | {"schema": given.kept("schema")}
    made = given.make(OutputSchema, {name: value for name, value in read.items() if value is not None}, "json_schema")
    given.close()
    if made is not None:
        translation.set("output_schema", made, path)
