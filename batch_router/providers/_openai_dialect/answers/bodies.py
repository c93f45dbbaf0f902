"""The body of an answer of any endpoint to a result."""

import msgspec

from ....core import UnifiedResult
from ..._rows.shapes import NULL, is_object, says_something
from .chat import completions, decode_completion
from .lists import decode_list
from .responses import decode_response

_NOTHING = (NULL, msgspec.Raw(b"[]"))


def decode_body(custom_id: str, body: msgspec.Raw, request_id: str | None) -> UnifiedResult | None:
    """The result of a body. None: the body is no object, or holds an error in place of an answer.

    Most are chat completions, so each is read as one first. A body is known by its lists, not by what it calls itself.
    """
    completion = completions.read(body)
    if completion.choices:
        return decode_completion(custom_id, completion, completion.choices[0], body, request_id)
    if completion.object == "response" or completion.output not in _NOTHING:
        return decode_response(custom_id, body, request_id)
    if not is_object(body) or says_something(completion.error):
        return None
    return decode_list(custom_id, body, request_id)


def is_answer(value: msgspec.Raw) -> bool:
    """Whether a value is the body of a chat completion or a response: some services send it in place of the row's."""
    completion = completions.read(value)
    return bool(completion.choices) or completion.output not in _NOTHING
