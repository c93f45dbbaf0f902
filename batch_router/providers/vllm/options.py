"""The options of vLLM: those that batch_router sets, and those that a batch may set, with the values that they take.

A batch's options say how a model runs. No value of theirs can be a path, a plugin, or JSON that holds one: it is a
number, a flag or a single word. The one text among them, `chat-template`, reaches vLLM as a file of ours.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from ...core.jobs import EngineOption
from ...exceptions import ValidationError
from ...security.printable import printable

CHAT_TEMPLATE = "chat-template"

# Options that say how we reach an engine, what it reads and writes, and where it gets media from.
_OUR_OPTIONS = frozenset(
    {"api-key", "host", "input-file", "model", "output-file", "port", "root-path", "served-model-name", "uds"}
    | {"ssl-ca-certs", "ssl-cert-reqs", "ssl-certfile", "ssl-keyfile"}
    | {"allowed-local-media-path", "allowed-media-domains"}
)
# Dots lead into an option that is an object: `compilation-config.mode`.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_WHOLE = re.compile(r"\d{1,12}")
_LENGTH = re.compile(r"\d{1,12}|\d{1,6}(?:\.\d{1,6})?[kKmMgG]|auto|-1")
_SHARE = re.compile(r"0?\.\d{1,6}|1(?:\.0{1,6})?")
# A template is some kilobytes.
_LONGEST_TEMPLATE = 64 << 10
_SHOWN = 100

_Check = Callable[[EngineOption], bool]


def _text(pattern: re.Pattern[str]) -> _Check:
    # A number and its text: the command line has only texts.
    return lambda value: not isinstance(value, bool) and pattern.fullmatch(str(value)) is not None


def _is_template(value: EngineOption) -> bool:
    # Without a brace it is rather a path: vLLM would not open it, and give the model that very text.
    if not isinstance(value, str) or "{" not in value or "\0" in value:
        return False
    return len(value.encode(errors="replace")) <= _LONGEST_TEMPLATE


_word, _whole = (_text(_WORD), "a single word"), (_text(_WHOLE), "a whole number")
# They say how a model runs. Options that reach beyond it (files, code, ports) are the operator's.
_OF_A_BATCH: Mapping[str, tuple[_Check, str]] = {
    CHAT_TEMPLATE: (_is_template, f"the template itself, of at most {_LONGEST_TEMPLATE:,} bytes"),
    "dtype": _word,
    "enforce-eager": (lambda value: isinstance(value, bool), "true or false"),
    "gpu-memory-utilization": (_text(_SHARE), "a number from 0 to 1"),
    "max-model-len": (_text(_LENGTH), "a number of tokens"),
    "max-num-seqs": _whole,
    "quantization": _word,
    "reasoning-parser": _word,
    "seed": _whole,
    "tensor-parallel-size": _whole,
    "tool-call-parser": _word,
}


def check_own_options(source: str, options: Iterable[str]) -> None:
    """Check the names of the operator's options, whose values are his own.

    Args:
        source: what has them, for the error.
        options: without their dashes; vLLM takes underscores, too.

    Raises:
        ValidationError: batch_router sets one of them itself, or one is no name.
    """
    for option in options:
        if _NAME.fullmatch(_dashed(option)) is None:
            raise ValidationError(f"{source}: {_shown(option)} is not the name of an option; give it without dashes")
        if _dashed(option) in _OUR_OPTIONS:
            raise ValidationError(f"{source}: {option!r} is set by batch_router itself; leave it out")


def read_batch_options(options: Mapping[str, EngineOption], *, templates: bool) -> dict[str, EngineOption]:
    """The options of a batch, under vLLM's own names.

    Args:
        options: as the submitter wrote them, with dashes or underscores.
        templates: whether a batch may bring a chat template.

    Raises:
        ValidationError: a batch cannot set one of them, or not to this value; says which.
    """
    read: dict[str, EngineOption] = {}
    for given, value in options.items():
        name = _dashed(given)
        check, wanted = _OF_A_BATCH.get(name, (None, ""))
        if check is None:
            known = ", ".join(sorted(_OF_A_BATCH))
            raise ValidationError(f"engine_options: a batch cannot set {_shown(given)}; it can set {known}")
        if not check(value) or name in read:
            raise ValidationError(f"engine_options: {name} takes {wanted}, once, not {_shown(str(value))}")
        read[name] = value
    if CHAT_TEMPLATE in read and not templates:
        raise ValidationError(
            "engine_options: the operator lists the models (BATCH_ROUTER_VLLM_MODELS), so their chat templates are "
            "the operator's, too (BATCH_ROUTER_VLLM_OPTIONS); leave chat-template out"
        )
    return read


def flags_of(options: Mapping[str, EngineOption]) -> Iterator[str]:
    """The options as vLLM's command line has them."""
    for name, value in options.items():
        if value is not False:
            yield f"--{name}" if value is True else f"--{name}={value}"


def _dashed(option: str) -> str:
    return option.replace("_", "-")


def _shown(text: str) -> str:
    return f"'{printable(text, _SHOWN)}'"
