"""What the end of an engine's log means: one of our errors, most specific first."""

import re
from collections.abc import Mapping
from pathlib import Path

from ....core.jobs import EngineOption
from ....exceptions import ProviderAPIError, ProviderUnavailableError, RequestRefusedError
from ....security.files import open_regular
from ....security.masking import MASK, is_secret_name, mask
from ....security.printable import printable_lines
from ..errors import NAME, EngineMissingError, EngineOptionError, ModelNotFoundError, NoSpaceError, OutOfMemoryError

_QUOTED = 500  # characters of the log that an error shows
_SEARCHED = 1 << 16  # bytes at the end of the log that are searched: a row that it quotes may be long
# vLLM quotes the row in its validation errors.
_ROW = re.compile(r"input_value=.*?(, input_type=|$)", re.DOTALL)
# What vLLM writes about a row that it cannot read: the first since 0.33, the second before.
_INVALID = re.compile(r"Invalid request on line (\d+)|validation errors? for BatchRequestInput")

_KINDS: tuple[tuple[re.Pattern[str], type[ProviderAPIError], str], ...] = (
    (
        re.compile(r"unrecognized arguments: .*|argument -\S+: .*|invalid choice: .*"),
        EngineOptionError,
        "vLLM does not take an option of this batch or of BATCH_ROUTER_VLLM_OPTIONS",
    ),
    (
        re.compile(
            r"Repository Not Found.*|is not a local folder and is not a valid model.*|Invalid repository ID.*"
            r"|Repo id must be .*"
            r"|does not appear to have a file named.*|LocalEntryNotFoundError|Can't load the configuration of.*"
            r"|couldn't connect to .* to load the files.*|You are trying to access a gated repo.*"
            r"|Model architectures .* (?:are not supported|failed to be inspected).*"
        ),
        ModelNotFoundError,
        "the model was not found where the GPU worker runs",
    ),
    (re.compile(r"No module named 'vllm.*"), EngineMissingError, "vLLM is not installed as it should be"),
    (
        re.compile(r"validation errors? for \w*Config.*|contains custom code which must be executed.*"),
        EngineOptionError,
        "vLLM cannot run this model with these options",
    ),
    (
        re.compile(r"larger than the (maximum number of tokens that can be stored|available KV cache).*"),
        EngineOptionError,
        "the model does not fit with this context: lower max-model-len or raise gpu-memory-utilization",
    ),
    (
        re.compile(r"out of memory|OutOfMemory\w*|No available memory for the cache blocks.*|less than desired GPU.*"),
        OutOfMemoryError,
        "there is not enough memory for the model: free some, or lower gpu-memory-utilization or max-model-len",
    ),
    (re.compile(r"No space left on device"), NoSpaceError, "the disk is full where the engine writes: make room"),
)


def last_words(log: Path, options: Mapping[str, EngineOption], environment: Mapping[str, str]) -> str:
    """The end of a log, without rows, and without the secrets among the options and variables."""
    with open(log, "rb", opener=open_regular) as stream:
        stream.seek(max(0, log.stat().st_size - _SEARCHED))
        words = stream.read().decode(errors="replace")
    known = [*environment.items(), *options.items()]
    words = mask(words, *(str(value) for name, value in known if is_secret_name(name)))
    return printable_lines(_ROW.sub(rf"input_value={MASK}\1", words))


def bad_line(words: str) -> int | None:
    """The line of its input that the engine cannot read, counted from 1; 0 where it does not say which."""
    found = _INVALID.search(words)
    return None if found is None else int(found[1] or 0)


def error_of(code: int, words: str) -> ProviderAPIError:
    """Why an engine ended, as far as its log tells."""
    for pattern, kind, meaning in _KINDS:
        if found := pattern.search(words):
            return kind(NAME, 0, f"{meaning} ({found[0][:_QUOTED].strip()})")
    refused = _INVALID.search(words)
    text = refused[0] if refused else words[-_QUOTED:].strip()
    kind = RequestRefusedError if refused else ProviderUnavailableError
    return kind(NAME, 0, f"the engine ended with exit code {code}: {text or 'its log is empty'}")
