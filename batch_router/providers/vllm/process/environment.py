"""The environment of engines: that of the worker without its secrets, for an engine runs what models bring along."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping

from ....security.masking import is_secret_name
from ....settings import PREFIX
from ...base import Provider

# The Hub's tokens: without them there are no gated models. The third only looks like a secret.
_NEEDED = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "TOKENIZERS_PARALLELISM"})
_OF_VLLM = "VLLM_"
# Read by the stand-in for vLLM.
_SCENARIO = f"{PREFIX}VLLM_SCENARIO"
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")
# A proxy stands between the engine and the Hub.
_PROXY = re.compile(r"_proxy$", re.IGNORECASE)


def engine_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of a process that an engine is in: no provider's key, no setting of ours, and nothing secret."""
    # Of all providers that this process has imported.
    keys = tuple(_key_variables(Provider.__subclasses__()))
    return {name: value for name, value in environ.items() if _may_pass(name, value, keys)}


def _may_pass(name: str, value: str, keys: tuple[str, ...]) -> bool:
    if name in _NEEDED or name == _SCENARIO:
        return True
    # `OPENAI_API_KEY_TEAM_A` is a credential's.
    if name.startswith(PREFIX) or any(name == key or name.startswith(f"{key}_") for key in keys):
        return False
    if name.startswith(_OF_VLLM):
        return True
    return not is_secret_name(name) and (_PROXY.search(name) is not None or not _PASSWORD_IN_URL.search(value))


def _key_variables(providers: Iterable[type[Provider]]) -> Iterator[str]:
    for provider in providers:
        yield from provider.key_variables
        yield from _key_variables(provider.__subclasses__())
