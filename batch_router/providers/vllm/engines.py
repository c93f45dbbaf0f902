"""Which engine answers a job's rows, and with which options."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from ...core.jobs import JobSpec
from ..base import Loaded
from . import engine
from .files import Files
from .run_batch import CHUNK_ROWS, RunBatch
from .serve import CONCURRENCY, Serve
from .server import Elsewhere, Resident
from .watch import Watch

EngineName = Literal["serve", "run-batch"]


class Engine(Protocol):
    """What answers the rows of a job."""

    def answer(self, files: Files, watch: Watch) -> None:
        """Answer all rows that have no answer yet; fewer, if the job is to end."""


class Setup(NamedTuple):
    """How vLLM is used in this process.

    Attributes:
        engine: `serve`: a server that stays; `run-batch`: a run per chunk of rows.
        command: how vLLM is started: `["vllm"]`.
        options: of every batch, without their dashes; True: a flag.
        folder: where servers are written down.
        model_path: where the model is, if the jobs' `model` is only its name.
        base_url: a server that runs elsewhere; then none is started.
        key: what that one asks for.
        chunk_rows: rows per run of `run-batch`.
        concurrency: rows under way at a server at a time.
    """

    engine: EngineName
    command: list[str]
    options: Mapping[str, Any]
    folder: Path
    model_path: str | None = None
    base_url: str | None = None
    key: str | None = None
    chunk_rows: int = CHUNK_ROWS
    concurrency: int = CONCURRENCY


class Engines:
    """The engines of a process; a server stays until another one is wanted."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._resident: Resident | None = None
        self._turn = threading.Lock()
        self._loaded: Loaded | None = None

    @property
    def loaded(self) -> Loaded | None:
        """The model of the server, while that is there."""
        return self._loaded if self._resident is not None and self._resident.is_running() else None

    def answer(self, spec: JobSpec, files: Files, watch: Watch) -> None:
        """Have an engine answer a job's rows; one job after the other, for a GPU has room for one engine."""
        setup = self.setup
        if setup.base_url:
            server = Elsewhere(setup.base_url, setup.key, spec.model)
            Serve(server, concurrency=setup.concurrency).answer(files, watch)
            return
        with self._waited_for(watch) as free:
            if free:
                self._engine_of(spec).answer(files, watch)

    @contextmanager
    def _waited_for(self, watch: Watch) -> Iterator[bool]:
        """Another thread's job may last for hours: whether this one's turn came before it was to end."""
        free = False
        while not free and not watch.should_end():
            free = self._turn.acquire(timeout=engine.LOOK_EVERY)
        try:
            yield free
        finally:
            if free:
                self._turn.release()

    def _engine_of(self, spec: JobSpec) -> Engine:
        setup = self.setup
        options = {**setup.options, **spec.engine_options}
        model = setup.model_path or spec.model
        flags = ["--served-model-name", spec.model] if setup.model_path else []
        for name, value in options.items():
            if value is not False:
                flags.append(f"--{name}" if value is True else f"--{name}={value}")
        if setup.engine == "run-batch":
            command = [*setup.command, "run-batch", "--model", model, *flags]
            return RunBatch(command, options, chunk_rows=setup.chunk_rows)
        command = [*setup.command, "serve", model, *flags]
        if self._resident is None or self._resident.command != command:
            self.close()
            self._resident = Resident(command, options, setup.folder)
            self._loaded = Loaded(spec.model, spec.engine_options)
        return Serve(self._resident, concurrency=setup.concurrency)

    def close(self) -> None:
        """End the server that is still there."""
        if self._resident is not None:
            self._resident.end()
        self._resident = self._loaded = None
