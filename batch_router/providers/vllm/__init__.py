"""vLLM: models on GPUs of one's own, by `vllm run-batch`."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ...core import Endpoint, GenerationConfig
from ...settings import Settings
from ..base import Client, Codec, Limits, Provider
from . import codec


class VLLMProvider(Provider):
    """A local engine, one run per job.

    Args:
        model_path: where the model's files are, if the requests' `model` is only its name.
        vllm_args: more options of vLLM: `{"max-model-len": 4096, "enforce-eager": True}`; by default the settings'.
        chunk_rows: rows per run of `run-batch`, each of which loads the model anew.
    """

    name = "vllm"
    # vLLM has no limit, but reads its whole input into memory.
    limits = Limits(rows=50_000, bytes=1_000_000_000)
    endpoints = {  # noqa: RUF012 - data
        Endpoint.CHAT: {
            "document.base64": "send its text",
            "document.url": "send its text",
        },
        Endpoint.EMBEDDINGS: dict.fromkeys(
            GenerationConfig.__struct_fields__, "leave it out: embeddings have no such parameter"
        ),
    }
    #: All steps of a batch run where the engine and its files are.
    queue = "gpu"
    #: Nothing is on its way to a server: what a dead worker left of a run is ended before the next one.
    remote = False
    speaks_openai = True
    codec: ClassVar[Codec] = codec

    def __init__(
        self,
        model_path: str | None = None,
        *,
        vllm_args: Mapping[str, Any] | None = None,
        chunk_rows: int = 500,
        base_url: str | None = None,
    ) -> None:
        super().__init__(base_url=base_url)
        self._model_path = model_path
        self._vllm_args = vllm_args
        self._chunk_rows = chunk_rows

    def connect(self, *, timeout: float) -> Client:  # noqa: ARG002 - a run takes as long as it takes
        """See `Provider.connect`."""
        from .client import VLLMClient

        settings = Settings.from_env()
        return VLLMClient(
            shlex.split(settings.vllm_command),
            model_path=self._model_path,
            options=settings.vllm_options if self._vllm_args is None else self._vllm_args,
            chunk_rows=self._chunk_rows,
        )

    @classmethod
    def tidy(cls, root: Path) -> None:
        """See `Provider.tidy`."""
        from .files import end_leftovers

        end_leftovers(root / "generated" / cls.name)


PROVIDER = VLLMProvider
