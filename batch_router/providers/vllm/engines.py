"""Which engine answers the rows of a job, and with which options."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from ...core.jobs import EngineOption, JobSpec
from ..base import Loaded
from .control import JobControl
from .files import JobFiles
from .process.group import LOOK_EVERY
from .run_batch import CHUNK_ROWS, RunBatchEngine
from .serve.local_server import LocalServer
from .serve.sending import CONCURRENCY, ServeEngine
from .serve.server import RemoteServer

EngineName = Literal["serve", "run-batch"]


class Engine(Protocol):
    """What answers the rows of a job."""

    def answer(self, files: JobFiles, control: JobControl) -> None:
        """Answer all rows that have no answer yet, or fewer if the job must end."""


class Setup(NamedTuple):
    """How vLLM is used in this process.

    Attributes:
        engine: `serve`: a server that stays; `run-batch`: a run per chunk of rows.
        command: how vLLM is started: `["vllm"]`.
        options: of every batch, without their dashes; True: a flag.
        folder: where the process groups of servers are recorded.
        model_path: where the model is, if the jobs' `model` is only its name.
        base_url: a server that runs elsewhere; then none is started here.
        key: the API key that this server asks for.
        chunk_rows: rows per run of `run-batch`.
        concurrency: rows at a server at a time.
    """

    engine: EngineName
    command: list[str]
    options: Mapping[str, EngineOption]
    folder: Path
    model_path: str | None = None
    base_url: str | None = None
    key: str | None = None
    chunk_rows: int = CHUNK_ROWS
    concurrency: int = CONCURRENCY


class Engines:
    """The engines of a process; a server stays loaded until another one is wanted."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._local_server: LocalServer | None = None
        self._turn = threading.Lock()
        self._loaded: Loaded | None = None

    @property
    def loaded(self) -> Loaded | None:
        """The model of the server, while it runs."""
        return self._loaded if self._local_server is not None and self._local_server.is_running() else None

    def answer(self, spec: JobSpec, files: JobFiles, control: JobControl) -> None:
        """Have an engine answer the rows of a job; one job at a time: a GPU has room for one engine."""
        setup = self.setup
        if setup.base_url:
            server = RemoteServer(setup.base_url, setup.key, spec.model)
            ServeEngine(server, concurrency=setup.concurrency).answer(files, control)
            return
        with self._turn_of(control) as has_turn:
            if has_turn:
                self._engine_of(spec).answer(files, control)

    @contextmanager
    def _turn_of(self, control: JobControl) -> Iterator[bool]:
        """Wait until no other thread's job runs, which may take hours; False if the job must end before that."""
        has_turn = False
        while not has_turn and not control.should_end():
            has_turn = self._turn.acquire(timeout=LOOK_EVERY)
        try:
            yield has_turn
        finally:
            if has_turn:
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
            return RunBatchEngine(command, options, chunk_rows=setup.chunk_rows)
        command = [*setup.command, "serve", model, *flags]
        if self._local_server is None or self._local_server.command != command:
            self.close()
            self._local_server = LocalServer(command, options, setup.folder)
            self._loaded = Loaded(spec.model, spec.engine_options)
        return ServeEngine(self._local_server, concurrency=setup.concurrency)

    def close(self) -> None:
        """Stop the server, if one is loaded."""
        if self._local_server is not None:
            self._local_server.stop()
        self._local_server = self._loaded = None
