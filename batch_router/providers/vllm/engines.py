"""Which engine answers the rows of a job, and with which options."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from ...bounds import Bounds
from ...core.jobs import EngineOption, JobSpec
from ...exceptions import ValidationError
from ...security.masking import MASK, mask_url
from ..base import Loaded
from .control import JobControl
from .errors import NAME, EngineOptionError, ModelNotFoundError
from .files import JobFiles
from .models import ModelTable, check_served_model, place_of, takes_any
from .options import CHAT_TEMPLATE, flags_of, read_batch_options
from .preparing import Rules
from .process.folder import EngineFolder
from .process.group import LOOK_EVERY
from .run_batch import CHUNK_ROWS, RunBatchEngine
from .serve.local_server import LocalServer
from .serve.sending import CONCURRENCY, ServeEngine
from .serve.server import RemoteServer

EngineName = Literal["serve", "run-batch"]

# No host of that name can exist (RFC 2606): an engine fetches nothing itself; see `media.py`.
_NO_MEDIA = "--allowed-media-domains=nowhere.invalid"


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
        folder: where engines work, and the process groups of servers are recorded.
        models: which models a batch may name, and where they are; see `VLLMSettings`.
        model_path: where the model is, if the jobs' `model` is only its name.
        media_hosts: the only hosts that media are fetched from; empty: all that are public.
        bounds: of this process.
        base_url: a server that runs elsewhere; then none is started here.
        key: the API key that this server asks for.
        chunk_rows: rows per run of `run-batch`.
        concurrency: rows at a server at a time.
    """

    engine: EngineName
    command: list[str]
    options: Mapping[str, EngineOption]
    folder: Path
    models: ModelTable = {}  # noqa: RUF012 - never changed
    model_path: str | None = None
    media_hosts: frozenset[str] = frozenset()
    bounds: Bounds = Bounds()
    base_url: str | None = None
    key: str | None = None
    chunk_rows: int = CHUNK_ROWS
    concurrency: int = CONCURRENCY

    def __repr__(self) -> str:
        """Without what may be secret: the key, the options' values and what is in the URL."""
        url = self.base_url and mask_url(self.base_url)
        shown = self._replace(key=self.key and MASK, base_url=url, options=dict.fromkeys(self.options, MASK))
        return f"Setup{tuple(shown)!r}"


class Engines:
    """The engines of a process; a server stays loaded until another one is wanted."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._folder = EngineFolder(setup.folder)
        self._local_server: LocalServer | None = None
        self._turn = threading.Lock()
        self._loaded: Loaded | None = None

    @property
    def loaded(self) -> Loaded | None:
        """The model of the server, while it runs."""
        return self._loaded if self._local_server is not None and self._local_server.is_running() else None

    def answer(self, spec: JobSpec, files: JobFiles, control: JobControl) -> None:
        """Have an engine answer the rows of a job; one job at a time: a GPU has room for one engine.

        Raises:
            ModelNotFoundError: no batch may name this model.
            EngineOptionError: no batch may set one of the options. A stored batch is not believed to have been checked.
            ProviderAPIError: the engine does not work.
        """
        if self.setup.base_url:
            self._remote(self.setup.base_url, spec).answer(files, control)
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

    def _remote(self, url: str, spec: JobSpec) -> Engine:
        with _refused_as(ModelNotFoundError):
            check_served_model(spec.model)
        server = RemoteServer(url, self.setup.key, spec.model)
        return ServeEngine(server, self._rules(spec), concurrency=self.setup.concurrency)

    def _engine_of(self, spec: JobSpec) -> Engine:
        setup = self.setup
        model, options = self._place_of(spec), self._options_of(spec)
        flags = [*flags_of(options), _NO_MEDIA]
        if model != spec.model:
            flags.append(f"--served-model-name={spec.model}")
        if setup.engine == "run-batch":
            command = [*setup.command, "run-batch", "--model", model, *flags]
            return RunBatchEngine(command, options, self._folder, self._rules(spec), chunk_rows=setup.chunk_rows)
        command = [*setup.command, "serve", model, *flags]
        if self._local_server is None or self._local_server.command != command:
            self.close()
            self._local_server = LocalServer(command, options, self._folder)
            self._loaded = Loaded(spec.model, spec.engine_options)
        return ServeEngine(self._local_server, self._rules(spec), concurrency=setup.concurrency)

    def _rules(self, spec: JobSpec) -> Rules:
        return Rules(spec.model, self.setup.media_hosts, self.setup.bounds)

    def _place_of(self, spec: JobSpec) -> str:
        with _refused_as(ModelNotFoundError):
            if self.setup.model_path:
                check_served_model(spec.model)
                return self.setup.model_path
            return place_of(spec.model, self.setup.models)

    def _options_of(self, spec: JobSpec) -> dict[str, EngineOption]:
        with _refused_as(EngineOptionError):
            wanted = read_batch_options(spec.engine_options, templates=takes_any(self.setup.models))
        if CHAT_TEMPLATE in wanted:
            wanted[CHAT_TEMPLATE] = str(self._folder.keep_template(str(wanted[CHAT_TEMPLATE])))
        return {name.replace("_", "-"): value for name, value in self.setup.options.items()} | wanted

    def close(self) -> None:
        """Stop the server, if one is loaded."""
        if self._local_server is not None:
            self._local_server.stop()
        self._local_server = self._loaded = None


@contextmanager
def _refused_as(kind: type[ModelNotFoundError] | type[EngineOptionError]) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise kind(NAME, 0, str(error)) from error
