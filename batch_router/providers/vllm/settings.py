"""The settings that only vLLM has."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ...core.jobs import EngineOption
from ...exceptions import ValidationError
from ...settings import Section
from .models import ModelTable, check_table, takes_any
from .options import check_own_options

# A name or an address, as a URL has it; no port.
_HOST = r"^[A-Za-z0-9_.:\[\]-]{1,253}$"
_GPU_QUEUE = r"^gpu(\.[A-Za-z0-9_-]+)?$"


class VLLMSettings(Section, frozen=True, kw_only=True):
    """How vLLM runs in this process.

    Attributes:
        command: how vLLM is started (`BATCH_ROUTER_VLLM_COMMAND`).
        engine: a server that stays while its model is wanted, or a run per chunk of rows (`..._VLLM_ENGINE`).
        options: options of vLLM for every batch, without their dashes; true: a flag (`..._VLLM_OPTIONS`).
        models: name -> the model's folder, or its name at the Hub; with `"*": true` other names at the Hub may be used,
            too; empty: any name at the Hub, and no folder (`..._VLLM_MODELS`).
        media_domains: the only hosts that images, videos and sounds of rows are fetched from, also where their
            addresses are private; empty: all with a public address (`..._VLLM_MEDIA_DOMAINS`).
        gpu_queues: model -> the queue of the workers that hold it, `*` for all others; empty: all on `gpu`.
    """

    command: str = msgspec.field(default="vllm", name="vllm_command")
    engine: Literal["serve", "run-batch"] = msgspec.field(default="serve", name="vllm_engine")
    options: dict[str, EngineOption] = msgspec.field(default_factory=dict, name="vllm_options")
    models: dict[str, str | bool] = msgspec.field(default_factory=dict, name="vllm_models")
    media_domains: list[Annotated[str, Meta(pattern=_HOST)]] = msgspec.field(
        default_factory=list, name="vllm_media_domains"
    )
    gpu_queues: dict[str, Annotated[str, Meta(pattern=_GPU_QUEUE)]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_own_options("vllm_options", self.options)
        check_table(self.models)
        check_trust(self.options, self.models)


def check_trust(options: Mapping[str, EngineOption], models: ModelTable) -> None:
    """Refuse to run the code of whatever model a submitter names.

    Raises:
        ValidationError: says what to do.
    """
    if takes_any(models) and any(name.replace("_", "-") == "trust-remote-code" and options[name] for name in options):
        raise ValidationError(
            "vllm_options: 'trust-remote-code' runs the code of any model that a submitter names; list the models in "
            "BATCH_ROUTER_VLLM_MODELS, without '*'"
        )


def is_gpu_queue(name: str) -> bool:
    """Whether a queue is for workers with GPUs: `gpu`, or `gpu.<name>` for some of the models."""
    return re.fullmatch(_GPU_QUEUE, name) is not None
