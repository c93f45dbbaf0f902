"""The settings that only vLLM has, and the options of vLLM that only batch_router sets."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ...core.jobs import EngineOption
from ...exceptions import ValidationError
from ...settings import Section

# Options that say how we reach an engine, and what it reads and writes.
_OUR_OPTIONS = frozenset(
    {"api-key", "host", "input-file", "model", "output-file", "port", "root-path", "served-model-name", "uds"}
    | {"ssl-ca-certs", "ssl-cert-reqs", "ssl-certfile", "ssl-keyfile"}
)
_GPU_QUEUE = r"^gpu(\.[A-Za-z0-9_-]+)?$"


class VLLMSettings(Section, frozen=True, kw_only=True):
    """How vLLM runs in this process.

    Attributes:
        command: how vLLM is started (`BATCH_ROUTER_VLLM_COMMAND`).
        engine: a server that stays while its model is wanted, or a run per chunk of rows (`..._VLLM_ENGINE`).
        options: options of vLLM for every batch, without their dashes; true: a flag (`..._VLLM_OPTIONS`).
        gpu_queues: model -> the queue of the workers that hold it, `*` for all others; empty: all on `gpu`.
    """

    command: str = msgspec.field(default="vllm", name="vllm_command")
    engine: Literal["serve", "run-batch"] = msgspec.field(default="serve", name="vllm_engine")
    options: dict[str, EngineOption] = msgspec.field(default_factory=dict, name="vllm_options")
    gpu_queues: dict[str, Annotated[str, Meta(pattern=_GPU_QUEUE)]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_options("vllm_options", self.options)


def check_options(source: str, options: Iterable[str]) -> None:
    """Refuse options of vLLM that batch_router sets itself.

    Args:
        source: what has them, for the error.
        options: without their dashes; vLLM takes underscores, too.

    Raises:
        ValidationError: says which.
    """
    if ours := sorted(_OUR_OPTIONS.intersection(option.replace("_", "-") for option in options)):
        raise ValidationError(f"{source}: {ours[0]!r} is set by batch_router itself; leave it out")


def is_gpu_queue(name: str) -> bool:
    """Whether a queue is for workers with GPUs: `gpu`, or `gpu.<name>` for some of the models."""
    return re.fullmatch(_GPU_QUEUE, name) is not None
