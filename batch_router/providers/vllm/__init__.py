"""vLLM: models on your own GPUs, with `vllm serve` or `vllm run-batch`."""

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from ...bounds import Bounds
from ...core import Endpoint, GenerationConfig
from ...core.finding import Finding
from ...core.jobs import EngineOption
from ...exceptions import ValidationError
from ...security.files import check_home
from ...settings import Settings
from .._openai_dialect.native import OpenAIRows
from .._openai_dialect.schema import PLAIN
from ..base import Client, Codec, Limits, Provider
from . import codec
from .errors import EngineMissingError, EngineOptionError, ModelNotFoundError, NoSpaceError, OutOfMemoryError
from .models import check_model, check_served_model, takes_any
from .options import check_own_options, read_batch_options
from .settings import VLLMSettings, check_trust, is_gpu_queue

__all__ = [
    "EngineMissingError",
    "EngineOptionError",
    "ModelNotFoundError",
    "NoSpaceError",
    "OutOfMemoryError",
    "VLLMProvider",
    "VLLMSettings",
]

# Folder below the home: the records of the servers that run on this machine.
_ENGINES = "engines"


class VLLMProvider(Provider):
    """A local engine, or a server that runs elsewhere.

    Args:
        model_path: where the model's files are, if the requests' `model` is only its name.
        vllm_args: options of vLLM: `{"max-model-len": 4096, "enforce-eager": True}`; by default those of the settings.
        engine: `serve`: a server that stays loaded; `run-batch`: a run per chunk of rows; by default the settings' one.
        chunk_rows: rows per run of `run-batch`; each run loads the model.
        api_key: of a server that runs elsewhere; without it the environment (`key_variables`) counts.
        base_url: of that server; without it, engines are started here.
    """

    name = "vllm"
    # vLLM has no limit, but reads its whole input into memory.
    limits = Limits(rows=50_000, bytes=1_000_000_000)
    endpoints = {  # noqa: RUF012 - data
        Endpoint.CHAT: {
            "document.base64": "send its text",
            "document.url": "send its text",
            **dict.fromkeys(
                [f"tool_result.{kind}.{source}" for kind in ("image", "document") for source in ("base64", "url")],
                "send its text, or send it in a turn of the user",
            ),
            **dict.fromkeys(
                [f"thinking.{seal}" for seal in ("plain", "signed", "encrypted", "item")],
                "leave it out: no chat template reads it",
            ),
            "cache_control": "leave it out: the engine finds out itself what to cache",
            "detail": "leave it out: the engine has no such setting",
            "is_error": "say it in the result's content",
            "service_tier": "leave it out: an engine serves all requests alike",
        },
        Endpoint.EMBEDDINGS: dict.fromkeys(
            GenerationConfig.__struct_fields__, "leave it out: embeddings have no such parameter"
        ),
    }
    #: All steps of a batch run on the machine that has the engine and its files.
    queue = "gpu"
    #: No request can arrive late: the engine of a dead worker is ended before the next run.
    remote = False
    native = OpenAIRows([Endpoint.CHAT, Endpoint.EMBEDDINGS, Endpoint.SCORE, Endpoint.RERANK], PLAIN)
    #: For a server that runs elsewhere.
    key_variables = ("VLLM_API_KEY",)
    codec: ClassVar[Codec] = codec

    def __init__(
        self,
        model_path: str | None = None,
        *,
        vllm_args: Mapping[str, EngineOption] | None = None,
        engine: Literal["serve", "run-batch"] | None = None,
        chunk_rows: int = 500,
        api_key: str | None = None,
        base_url: str | None = None,
    ) -> None:
        super().__init__(api_key, base_url=base_url)
        self._model_path = model_path
        check_own_options("vllm_args", vllm_args or {})
        self._vllm_args = vllm_args
        self._engine = engine
        self._chunk_rows = chunk_rows

    def takes_credential(self) -> bool:
        """See `Provider.takes_credential`: only a server that runs elsewhere asks for a key."""
        return self.base_url is not None

    def connect(self, settings: Settings) -> Client:
        """See `Provider.connect`."""
        from .client import VLLMClient
        from .engines import Engines, Setup

        own = settings.of(VLLMSettings)
        setup = Setup(
            engine=self._engine or own.engine,
            command=shlex.split(own.command),
            options=own.options if self._vllm_args is None else self._vllm_args,
            folder=settings.home.absolute() / _ENGINES,
            models=own.models,
            media_hosts=frozenset(host.lower().strip("[].") for host in own.media_domains),
            bounds=settings.of(Bounds),
            model_path=self._model_path,
            base_url=self.base_url,
            key=self._api_key or os.environ.get(self.key_variables[0]),
            chunk_rows=self._chunk_rows,
        )
        if self._model_path is None:
            check_trust(setup.options, own.models)
        return VLLMClient(Engines(setup), settings.home.absolute())

    @classmethod
    def queue_of(cls, model: str | None, settings: Settings) -> str | None:
        """See `Provider.queue_of`: by the settings' `gpu_queues`, where `*` stands for all other models."""
        own = settings.of(VLLMSettings)
        if model is not None and settings.base_urls.get(cls.name):
            check_served_model(model)
        elif model is not None:
            check_model(model, own.models)
        queues = own.gpu_queues
        if not queues:
            return cls.queue
        if model is None:  # its rows name their models; the steps of the batch itself may run on any of the queues
            return queues.get("*") or next(iter(queues.values()))
        queue = queues.get(model) or queues.get("*")
        if queue is None:
            served = ", ".join(sorted(queues))
            raise ValidationError(
                f"model: no GPU queue serves {model!r}; BATCH_ROUTER_GPU_QUEUES has {served}: add the model there, "
                "with the queue of the workers that hold it"
            )
        return queue

    @classmethod
    def model_queues(cls, settings: Settings) -> frozenset[str]:
        """See `Provider.model_queues`."""
        return frozenset(settings.of(VLLMSettings).gpu_queues.values())

    @classmethod
    def owns_queue(cls, name: str) -> bool:
        """See `Provider.owns_queue`."""
        return is_gpu_queue(name)

    @classmethod
    def examine(cls, settings: Settings) -> Iterable[Finding]:
        """See `Provider.examine`: the version of vLLM, devices, free memory, models."""
        from .doctor import examine

        return examine(settings)

    @classmethod
    def check_engine_options(cls, options: Mapping[str, EngineOption], settings: Settings) -> None:
        """See `Provider.check_engine_options`."""
        read_batch_options(options, templates=takes_any(settings.of(VLLMSettings).models))

    @classmethod
    def end_leftovers(cls, home: Path) -> None:
        """See `Provider.end_leftovers`; the records of a home that another user could have prepared are not read."""
        check_home(home)
        from .files import end_leftover_jobs
        from .process.leftovers import end_leftover_servers

        end_leftover_jobs(home)
        end_leftover_servers(home / _ENGINES)


PROVIDER = VLLMProvider
