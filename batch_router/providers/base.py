"""What a provider must offer: a codec (pure), a client (I/O), and its limits as data."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, ClassVar, NamedTuple, Protocol, Self

import msgspec

from ..core import Endpoint, NativeRow, OutputSchema, UnifiedRequest, UnifiedResult
from ..core.finding import Finding
from ..core.jobs import EngineOption, Job, JobOptions, JobSpec
from ..exceptions import CredentialsError, ValidationError
from ..settings import Settings
from ._schemas.forms import Schemas
from .access import Access

#: The slowest that rows are sent, in bytes per second on average: 256 MB take an hour and five minutes then. By when a
#: request can no longer arrive depends on it.
SLOWEST_SENDING = 64 << 10


class Limits(NamedTuple):
    """What one job may hold."""

    rows: int
    bytes: int


class Codec(Protocol):
    """Rows to and from the provider's format. Pure: no clock, no environment, no I/O. A module can be one."""

    def encode(self, request: UnifiedRequest, row_id: str) -> object:
        """The row to send, as something that msgspec encodes.

        Raises:
            ValidationError: the provider does not take this request; says which field, and what to do.
        """

    def read_row_id(self, line: bytes) -> str | None:
        """The row id of an answer; None if it has none, or cannot be read."""

    def decode(self, line: bytes, custom_id: str) -> tuple[UnifiedResult, bool]:
        """The result that an answer holds, and whether the line had to be repaired to be read.

        Lenient about unknown fields and shapes: a paid answer is not lost over a field.

        Args:
            line: the answer, one JSON object.
            custom_id: the user's id of the request, for the result; the line itself carries our row id.

        Raises:
            ValueError: the line is not JSON.
        """


class NativeFormat(Protocol):
    """Rows of the provider's own batch files, which are sent as they stand. Pure.

    Attributes:
        form: the names of a row, for messages.
        body: the name of the member that holds the request.
    """

    form: str
    body: str

    def read(self, line: bytes, endpoint: Endpoint) -> NativeRow | None:
        """The row of a line; None: one of the same dialect that the provider does not take as it stands.

        Args:
            line: one JSON object.
            endpoint: of a row that does not say what it asks for.

        Raises:
            msgspec.MsgspecError: the line is no such row.
            ValidationError: it is one that cannot be sent; says which field, and what to do.
        """

    def with_model(self, row: NativeRow, model: str) -> msgspec.Raw:
        """The body with another model, or with one that it lacks; all else in it stays as it is."""

    def with_output_schema(self, row: NativeRow, schema: OutputSchema) -> msgspec.Raw | None:
        """The body with this form of its answer, as the provider takes it; None: it has one of its own.

        Raises:
            ValidationError: what the row asks for has no such form, or the provider does not take the schema.
        """

    def asked_schema(self, row: NativeRow) -> dict[str, object] | None:
        """The JSON schema that the body asks its answer to fit: {} for JSON of any form; None: it asks for a text.

        Called only where the row `says_form`.
        """

    def frame(self, row: NativeRow, row_id: str) -> object:
        """The row to send, as something that msgspec encodes: the body with our row id beside it."""


class Rows(Protocol):
    """The rows of a job as `convert` wrote them: one JSON object per line, in the provider's format.

    Attributes:
        name: of their object in storage, which tells them from all others.
        size: bytes of all rows together.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - above

    @property
    def size(self) -> int: ...  # noqa: D102 - above

    def open(self) -> BinaryIO:
        """A new stream of the rows, from their start; it can seek.

        Each read of rows that are sent may raise a `ProviderUnavailableError`: it is too late to send them. The request
        must then not be completed. So the last read comes before the last byte of the request.
        """


class Client(Protocol):
    """The provider's API, as far as the road needs it. Synchronous; every call has a time-out and is not retried.

    All methods raise `ProviderAPIError`s, and none of the SDK's own errors.

    Attributes:
        access: the service that it calls, and its key; `access.account()` is the account that the jobs belong to.
    """

    access: Access

    def upload(self, rows: Rows, spec: JobSpec) -> str | None:
        """Send the rows; returns the provider's name for them (None where `create` sends them)."""

    def create(self, rows: Rows, spec: JobSpec) -> Job:
        """Create the job. This is the call that costs money: it is sent once, and never retried here."""

    def get(self, job_id: str) -> Job:
        """The current state of the job."""

    def list(self, age: float) -> Iterator[Job]:
        """The jobs of the account, not only ours, newest first; pages are asked for as they are needed.

        Args:
            age: seconds; jobs that are older by the provider's own clock may be left out, younger ones may not.
        """

    def cancel(self, job_id: str) -> None:
        """Ask for the job to end early. Answers are kept."""

    def download(self, job: Job, into: BinaryIO) -> None:
        """Write the answers of `job.outputs`, one JSON object per line; all of them, if it names none.

        The road asks for one file at a time, so that what came stays if another one is not there.

        Raises:
            NotFoundError: they are not there, or not yet: the road looks again for some time.
        """

    def find_uploads(self, spec: JobSpec, age: float) -> Iterable[str]:
        """The names of all uploads under the label that may still exist; none is older than `age` seconds."""

    def delete_upload(self, upload: str) -> None:
        """Delete uploaded rows, so that no job can be created from them any more. Fine if they are gone."""

    def delete(self, job: Job) -> None:
        """Delete the answers of an ended job, and the job itself if the provider can. Fine if they are gone."""

    def close(self) -> None:
        """Close the connections; no other call follows."""


class UnlabelledClient(Client, Protocol):
    """The client of a provider whose lists show no labels (`Provider.labelled` is False)."""

    def read_label(self, job: Job) -> str | None:
        """The label of an ended job, read from its answers; "": it is gone, or not ours. None: it cannot be read."""


class Loaded(NamedTuple):
    """A model that is loaded, with the options of the batch that it was loaded for."""

    model: str
    engine_options: Mapping[str, EngineOption]


class LocalClient(Client, Protocol):
    """The client of a provider whose jobs run in the worker (`Provider.remote` is False).

    Its jobs and uploads have the names of their rows. `create` lasts as long as the job; meanwhile `get` returns the
    count so far.
    """

    def loaded(self) -> Loaded | None:
        """The model that a job can use at once; None: each job loads its own."""

    def keep_answers(self, job_id: str) -> Job:
        """Make a job of the rows that have an answer, when `create` has failed for good."""

    def interrupt(self, job_id: str) -> None:
        """Make `create` raise `JobInterruptedError` soon: the answers are kept, and another worker continues."""


class Provider(ABC):
    """One API. Another one is a folder beside these, or a package with an entry point.

    Args:
        api_key: stays in this process; without it the environment (`key_variables`) is read when a client connects.
        base_url: where the API is, if not at its usual address.
    """

    name: ClassVar[str]
    limits: ClassVar[Limits]
    #: The endpoints that it has, and what each of them does not take, with what the user can do instead. Names are: a
    #: field of `GenerationConfig` ("top_k") or one word of it ("reasoning_effort.minimal"); a kind of content part, by
    #: its source ("document.url") or by what seals a thought ("thinking.signed", "thinking.encrypted", "thinking.item",
    #: "thinking.plain"), anywhere, in a turn of one side ("assistant.image.url") or within a tool's result
    #: ("tool_result.image.base64"); what a part may say beside its content ("cache_control", "detail", "is_error").
    endpoints: ClassVar[Mapping[Endpoint, Mapping[str, str]]] = {Endpoint.CHAT: {}}
    #: The media types that it takes in base64, by the type of the part; of a type that is left out, all.
    media_types: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    #: The rows that are sent as they stand; None: all rows are translated.
    native: ClassVar[NativeFormat | None] = None
    #: Whether jobs run elsewhere: a request may then still arrive after we gave up on it. Where they do not, the client
    #: is a `LocalClient`.
    remote: ClassVar[bool] = True
    #: Whether `Client.list` shows the label of a job, or the upload that it was made of. Where it shows neither, the
    #: client is an `UnlabelledClient`, and a job that runs is known by its number of rows at most.
    labelled: ClassVar[bool] = True
    #: Seconds after which a job that was made is in `Client.list`, also when the service has a bad day. No service
    #: promises a time. Their lists mostly show a job at once, and incidents in which they lag are told in minutes.
    visibility: ClassVar[float] = 600.0
    #: Whether the service promises the answers that a job has by the time it is cancelled.
    keeps_cancelled: ClassVar[bool] = True
    #: The environment variables that may hold the key, the first that is set counts; none: it needs no key.
    key_variables: ClassVar[tuple[str, ...]] = ()
    #: A Celery queue for all steps of this provider, where the usual ones will not do.
    queue: ClassVar[str | None] = None
    #: What names of models that plainly are this provider's begin with; None: its models may have any names.
    models: ClassVar[re.Pattern[str] | None] = None
    #: What of `JobOptions` its jobs take.
    job_options: ClassVar[frozenset[str]] = frozenset()
    #: The completion windows that a job may have, the first by default; none: the provider does not ask.
    windows: ClassVar[tuple[str, ...]] = ()
    codec: ClassVar[Codec]
    #: The forms of schemas that it accepts; None: any JSON schema, as it is.
    schemas: ClassVar[Schemas | None] = None

    def __init__(self, api_key: str | None = None, *, base_url: str | None = None) -> None:
        self._api_key = api_key
        self.base_url = base_url

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        return made

    def __getstate__(self) -> dict[str, object]:
        if self._api_key is not None:
            raise TypeError(f"the key of {type(self).__name__} stays in this process: pickle one without a key")
        return vars(self)

    def takes_credential(self) -> bool:
        """Whether a batch may name the key that it wants to be sent with."""
        return bool(self.key_variables)

    def with_key(self, api_key: str) -> Self:
        """The same provider with another key."""
        changed = copy(self)
        changed._api_key = api_key
        return changed

    def _key(self) -> str:
        found = self._api_key or next(filter(None, map(os.environ.get, self.key_variables)), None)
        key = (found or "").strip()  # of a file's line end
        if not key:
            names = " or ".join(self.key_variables)
            raise CredentialsError(self.name, 0, f"no API key: set {names} where the workers run")
        if not key.isascii() or not key.isprintable() or " " in key:  # the HTTP client's error would quote it
            message = "the API key has characters that no key has, such as a line end or a space: set it again"
            raise CredentialsError(self.name, 0, message)
        return key

    @classmethod
    def lacks(cls, endpoint: Endpoint, model: str) -> Mapping[str, str] | None:  # noqa: ARG003 - mostly the same for all
        """What an endpoint does not take of a model, as in `endpoints`; None: there is no such endpoint."""
        return cls.endpoints.get(endpoint)

    @classmethod
    def check_engine_options(cls, options: Mapping[str, EngineOption], settings: Settings) -> None:  # noqa: ARG003
        """Refuse what no batch may ask of the engine.

        Raises:
            ValidationError: says which option, and what to do instead.
        """
        if options:
            raise ValidationError(f"engine_options: {cls.name} has no engine of ours; leave them out")

    @classmethod
    def check_job_options(cls, options: JobOptions) -> None:
        """Refuse what no batch may ask of a job.

        Raises:
            ValidationError: says which option, and what to do instead.
        """
        for name in options.__struct_fields__:
            if getattr(options, name) and name not in cls.job_options:
                raise ValidationError(f"{name}: {cls.name} has no such option; leave it out")
        window = options.completion_window
        if window is not None and window not in cls.windows:
            raise ValidationError(f"completion_window: {cls.name} has {', '.join(cls.windows)}, and not {window!r}")

    @classmethod
    def queue_of(cls, model: str | None, settings: Settings) -> str | None:  # noqa: ARG003 - mostly one for all models
        """The Celery queue of all steps that concern a model; None: each step's own.

        Raises:
            ValidationError: no queue serves it.
        """
        return cls.queue

    @classmethod
    def model_queues(cls, settings: Settings) -> frozenset[str]:  # noqa: ARG003
        """The queues that the settings give to some of the models; empty: all models go to `queue`."""
        return frozenset()

    @classmethod
    def owns_queue(cls, name: str) -> bool:
        """Whether a queue of that name is one of this provider's, whatever the settings of this process."""
        return name == cls.queue

    @classmethod
    def examine(cls, settings: Settings) -> Iterable[Finding]:  # noqa: ARG003
        """What `doctor` should know of this machine, beyond keys and queues."""
        return ()

    @classmethod
    def preload(cls) -> None:
        """Import what `connect` will need (the folder's `client`, with its SDK) while the time does not matter yet."""
        import_module(f"{cls.__module__}.client")

    @classmethod  # noqa: B027 - most have nothing to end
    def end_leftovers(cls, home: Path) -> None:
        """End the processes that dead workers of this `home` left running on this machine, and no others."""

    @abstractmethod
    def connect(self, settings: Settings) -> Client:
        """A client; `settings` are those of the process that it works in.

        Raises:
            CredentialsError: there is no key.
        """
