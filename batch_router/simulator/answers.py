"""What every simulated model answers: texts and refusals that depend on the seed, the prompt and the row's id alone."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from .rows import seeded
from .scenario import Refusal, Scenario
from .schemas import instance_of, match_of

_WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "juniper", "kelp", "larch"]

#: What reading a body raises that has other types than the API's.
_UNREADABLE = (TypeError, ValueError, AttributeError, LookupError)
#: Where endpoints without messages have what stands for the prompt.
_PROMPTS = ("input", "prompt", "query", "text_1", "queries", "data_1", "file_url")


class Form(NamedTuple):
    """The form that a request asks for: free text, JSON, JSON by a schema, a choice, or what matches a pattern."""

    is_json: bool = False
    schema: Any = None
    choices: tuple[Any, ...] = ()
    pattern: str | None = None


FREE = Form()


class Call(NamedTuple):
    """A call of a tool that a request demands.

    Attributes:
        written: the arguments; text where the tool takes text.
        is_named: whether the request names the tool; else any would do.
    """

    name: str
    written: Any
    is_custom: bool = False
    is_named: bool = True


def prompt_of(body: dict[str, Any]) -> str:
    """The last message of a body with `messages`, or what else stands for it, as text."""
    messages = body.get("messages")
    last = messages[-1:] if isinstance(messages, list) else None
    last = last or next((body[name] for name in _PROMPTS if name in body), None)
    if isinstance(last, list) and last and isinstance(last[-1], dict) and "content" in last[-1]:
        last = last[-1]["content"]  # a message, or an item of `/v1/responses`
    if isinstance(last, list):
        texts = (part.get("text") if isinstance(part, dict) else part for part in last)
        return " ".join(str(text) for text in texts if text is not None)
    return str(last)


def inputs_of(given: Any) -> list[str]:
    """The inputs of an endpoint that takes several, as text: one text, one list of tokens, or a list of either."""
    is_list = isinstance(given, list) and not all(isinstance(each, int) for each in given)
    return [str(each) for each in (given if is_list else [given])]


def refusal_for(scenario: Scenario, prompt: str, row_id: str, *, job: bool = False) -> Refusal | None:
    """Why the scenario refuses this row, or (with `job`) the whole job for it; or None."""
    for refusal in scenario.refuse:
        is_meant = refusal.job == job and re.search(refusal.match, prompt)
        if is_meant and _chance(scenario.seed, row_id) < refusal.share:
            return refusal
    return None


def answer_or_refusal(make: Callable[[], dict[str, Any]]) -> dict[str, Any] | Refusal:
    """The answer that `make` makes of a body; a service refuses a body that has other types than its API's."""
    try:
        return make()
    except _UNREADABLE as error:
        return Refusal(message=f"The body is not as the API describes it: {error}")


def text_for(scenario: Scenario, prompt: str, form: Form = FREE, row_id: str = "") -> str:
    """What the model answers to a prompt, in the form that the request asks for if the scenario lets it."""
    text = _fitting_text(scenario, prompt, form)
    return f"Here you are: {text}" if form.is_json and _misfits(scenario, prompt, row_id) else text


def _misfits(scenario: Scenario, prompt: str, row_id: str) -> bool:
    chance = _chance(scenario.seed, row_id)
    return any(chance < misfit.share and re.search(misfit.match, prompt) for misfit in scenario.misfit)


def _fitting_text(scenario: Scenario, prompt: str, form: Form) -> str:
    prompt.encode()  # half a character, as `json` reads it, is no text: the row is refused
    for answer in scenario.answers:
        if found := re.search(answer.match, prompt):
            return answer.text.format(found[0], *found.groups())
    if form.choices:
        return str(seeded(scenario.seed, prompt).choice(form.choices))
    if form.pattern:
        return match_of(form.pattern, seeded(scenario.seed, prompt)) or ""
    if form.is_json and form.schema is None:
        return json.dumps({"answer": prompt})
    if form.is_json:
        return json.dumps(fitting(scenario, prompt, form.schema))
    if scenario.style == "echo":
        return prompt
    chooser = seeded(scenario.seed, prompt)
    return " ".join(chooser.choice(_WORDS) for _ in range(8)).capitalize() + "."


def fitting(scenario: Scenario, prompt: str, schema: Any) -> Any:
    """What the model writes by a schema; null if nothing fits it."""
    try:
        return instance_of(schema, seeded(scenario.seed, prompt))
    except ValueError:
        return None


def copies_of(scenario: Scenario, prompt: str) -> int:
    """How many times the row is returned: 0 if it is dropped, 2 if it is repeated."""
    if scenario.drop and re.search(scenario.drop, prompt):
        return 0
    return 2 if scenario.repeat and re.search(scenario.repeat, prompt) else 1


def vector_for(scenario: Scenario, text: str, size: int) -> list[float]:
    """The embedding of a text."""
    chooser = seeded(scenario.seed, text)
    return [round(chooser.uniform(-1, 1), 6) for _ in range(size)]


def count_tokens(text: str) -> int:
    """A rough count of a text's LLM tokens."""
    return len(text) // 4 + 1


def count_tokens_of(messages: Any) -> int:
    """The same of messages as Python shows them: JSON has the same length if there is nothing to escape."""
    if isinstance(messages, list):
        try:
            content = msgspec.json.encode(messages)
        except UnicodeEncodeError:  # a lone surrogate
            content = b"\\"
        if content.isascii() and b"\\" not in content and b"\x7f" not in content:
            return len(msgspec.json.format(content, indent=0)) // 4 + 1
    return count_tokens(str(messages))


def name_for(seed: int, row_id: str) -> str:
    """24 hexadecimal digits that belong to the row, for the ids of its answer."""
    return hashlib.sha256(f"{seed}:{row_id}".encode()).hexdigest()[:24]


def _chance(seed: int, row_id: str) -> float:
    return int(name_for(seed, row_id)[:8], 16) / 0x1_0000_0000
