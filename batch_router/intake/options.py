"""The options of a batch: what callers may write (`SubmitOptions`), and the checked record of it (`Options`)."""

import hashlib
import io
import secrets
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, NamedTuple, Protocol, TypedDict, TypeVar, cast

import msgspec
from msgspec import Meta

from ..core import Endpoint, GenerationConfig, OutputSchema, TextContent, UnifiedRequest
from ..core.config import written_config
from ..core.jobs import Beta, CompletionWindow, EngineOption, JobOptions
from ..core.record import JsonObject, to_plain
from ..exceptions import ValidationError
from ..security.headers import check_headers
from ..security.names import BATCH_ID, CREDENTIAL
from ..security.printable import printable
from .encode import Unsupported
from .given import NamedRows
from .mistakes import unknown_option
from .problems import Unit

# Of metadata and of engine options.
_Name = Annotated[str, Meta(min_length=1, max_length=128)]

#: No batch and no budget comes near; money in the ledger stays a number that Lua holds exactly.
MOST_DOLLARS = 100_000_000

# Characters of a value or an error that are shown.
_SHOWN = 1000

#: What problems call the standard input.
STANDARD_INPUT = Path("standard input")

#: How many rows of a file are checked in the caller's process; the workers check all of them in any case.
CHECK_ROWS = 1000


class PydanticModel(Protocol):
    """What a pydantic model offers; pydantic itself need not be installed."""

    def model_dump(self, *, mode: str, by_alias: bool, exclude_none: bool) -> JsonObject:
        """The model as plain data."""


class SendOptions(TypedDict, total=False):
    """The options of a batch, as `BatchRouter.send_batch` takes them by name. Each may be left out.

    Attributes:
        model: the model of rows without one.
        replace_model: whether `model` takes the place of the model that a row names; by default (False) it does not.
        endpoint: the endpoint of rows without one: "chat" (the default), "responses" or "embeddings".
        system_prompt: the system prompt of rows without one: a text, or several that are joined by a blank line.
        generation_config: parameters for rows without them: a `GenerationConfig`, or a dict with its names.
        output_schema: the form of the answers to rows without one: a class (a pydantic model, a dataclass, a TypedDict,
            a msgspec.Struct, `list[...]` of one), a JSON schema, or an `OutputSchema`.
        unsupported: where the provider does not take a parameter or a part: "error" (the default) refuses the batch,
            "drop" leaves it out and counts it in the manifest.
        row_retries: how often a row is sent again that failed for a passing reason (expired, overloaded, missing...):
            0 to 10, by default 2.
        invalid_retries: how often a row is asked again whose answer is no JSON, or does not fit its schema: 0 to 10.
            Each time is paid for. A row whose last answer does not fit is errored as `invalid_output`, and has that
            answer. By default (0) it is not asked again, and has succeeded with a `parse_error`.
        batch_id: an id of your own for the batch: letters, digits, `_` and `-`, at most 64; by default a random one.
        idempotency_key: any text of up to 512 characters. A second submission with the same key and the same content
            is the same batch; with other content it is an error. The batch id is derived from it. `purge` of the batch
            frees the key.
        credential: the name of the API key to use: lower-case letters, digits and `-`. The key itself is where the
            workers run. By default the workers' own key.
        timeout: seconds from the submission until the batch is cancelled; it keeps the answers that it has by then. By
            default it is never cancelled.
        keep_remote: leave the uploaded and the result files at the provider; by default (False) they are deleted.
        completion_window: the time that the provider may take, in its own words ("24h"), where it has a choice: OpenAI
            and services like it. By default its usual one.
        headers: extra HTTP headers of the request that creates a job, by name: no keys and nothing that is secret, for
            they are kept in the store. `{"anthropic-version": "2023-06-01"}` asks for another version of that API.
        betas: Anthropic's features that are not yet for all: `["output-300k-2026-03-24"]`.
        webhook: an `https` URL that gets a signed message when the batch ends, and when a person has to act before.
        max_cost: what the batch may cost at most, in US dollars by the workers' table of prices. A job that may pass it
            is not created. By default there is no limit.
        over_budget: what becomes of rows for which a budget, this one or another, has no room: "wait" (the default)
            until it is raised, or "end", errored as `job_failed`.
        engine_options: options of the vLLM engine without their dashes, True for a flag: `{"max-model-len": 4096}`.
    """

    model: str | None
    replace_model: bool
    endpoint: Endpoint | Literal["chat", "responses", "embeddings"] | None
    system_prompt: str | list[str | TextContent] | None
    generation_config: GenerationConfig | Mapping[str, object] | None
    output_schema: OutputSchema | Mapping[str, object] | type | None
    unsupported: Unsupported
    row_retries: int
    invalid_retries: int
    batch_id: str | None
    idempotency_key: str | None
    credential: str | None
    timeout: float | None
    keep_remote: bool
    completion_window: str | None
    headers: Mapping[str, str]
    betas: Sequence[str]
    webhook: str | None
    max_cost: Decimal | float | None
    over_budget: Literal["wait", "end"]
    engine_options: Mapping[str, EngineOption]


class SubmitOptions(SendOptions, total=False):
    """All that `submit_batch.delay` and `BatchClient.submit` take by name: see also `SendOptions`.

    Give either `requests` or `input`.

    Attributes:
        requests: the rows themselves: dicts, `UnifiedRequest`s or pydantic models.
        input: the path of a JSONL file with the rows, which this process can read, or a binary stream of them, which is
            read to its end. The content is copied into the storage; the file may change afterwards.
        check_rows: how many rows of `input` to check before anything is stored, 1000 by default; None: all. The
            workers check all of them in any case.
        metadata: your own notes, texts by name, up to 64; `status` shows them.
    """

    requests: Iterable[UnifiedRequest | Mapping[str, Any] | PydanticModel] | None
    input: str | Path | BinaryIO | None
    check_rows: int | None
    metadata: Mapping[str, str]


class MapOptions(SendOptions, total=False):
    """What `map` takes by name: see also `SendOptions`.

    Attributes:
        schema: the form of the answers, as the option `output_schema`; each of its properties is a column.
        id_column: the column with the rows' `custom_id`s; by default they are numbered from 1.
        image_column: the column with an image of each row: its URL, or the path of a file; an empty cell has none.
        document_column: the same of a PDF.
        metadata: as of a submission.
    """

    schema: object
    id_column: str | None
    image_column: str | None
    document_column: str | None
    metadata: Mapping[str, str]


_Options = TypeVar("_Options", bound=SendOptions)


def with_schema(options: _Options, schema: object) -> _Options:
    """The options with a schema that was given beside them.

    Raises:
        ValidationError: it is given twice.
    """
    if schema is None:
        return options
    if options.get(_SCHEMA) is not None:
        raise ValidationError("schema: given twice, as schema and as output_schema; keep one")
    return cast(_Options, {**options, _SCHEMA: schema})


class Defaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What holds for rows that leave it out."""

    model: str | None = None
    replace_model: bool = False
    endpoint: Endpoint | None = None
    system_prompt: str | list[str | TextContent] | None = None
    generation_config: GenerationConfig | None = None


class Options(Defaults, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The options of a batch, checked; `SubmitOptions` says what each of them means."""

    unsupported: Unsupported = "error"
    row_retries: Annotated[int, Meta(ge=0, le=10)] = 2
    invalid_retries: Annotated[int, Meta(ge=0, le=10)] = 0
    batch_id: str | None = None
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    credential: str | None = None
    metadata: Annotated[dict[_Name, str], Meta(max_length=64)] = msgspec.field(default_factory=dict)
    webhook: str | None = None
    max_cost: Decimal | None = None
    over_budget: Literal["wait", "end"] = "wait"
    timeout: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    keep_remote: bool = False
    completion_window: CompletionWindow | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    betas: Annotated[list[Beta], Meta(max_length=32)] = msgspec.field(default_factory=list)
    engine_options: Annotated[dict[_Name, EngineOption], Meta(max_length=64)] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.replace_model and not self.model:
            raise ValidationError("replace_model: in place of what? give the model, too")
        if self.batch_id is not None and not BATCH_ID.fullmatch(self.batch_id):
            raise ValidationError("batch_id must be 1 to 64 letters, digits, '_' or '-'")
        if self.credential is not None and not CREDENTIAL.fullmatch(self.credential):
            raise ValidationError("credential is the name of a key, no key: 1 to 64 lower-case letters, digits or '-'")
        if self.batch_id is not None and self.idempotency_key is not None:
            raise ValidationError("give either batch_id or idempotency_key: the key makes the id")
        if self.max_cost is not None and not (self.max_cost.is_finite() and 0 < self.max_cost < MOST_DOLLARS):
            raise ValidationError(f"max_cost must be dollars, more than 0 and less than {MOST_DOLLARS:,}")
        check_headers(self.headers)

    @property
    def job_options(self) -> JobOptions:
        """Those that go to the provider with each job."""
        return JobOptions(completion_window=self.completion_window, headers=self.headers, betas=self.betas)

    def choose_id(self) -> str:
        """The id of the batch; that of a key is always the same."""
        if self.idempotency_key is not None:
            return f"batch_{hashlib.sha256(self.idempotency_key.encode()).hexdigest()[:32]}"
        return self.batch_id or f"batch_{secrets.token_hex(8)}"


class Rows(NamedTuple):
    """The rows of a submission: either `requests`, or the `file` with them, of which `check_rows` are checked first."""

    requests: Iterable[object] | None = None
    file: Path | BinaryIO | None = None
    check_rows: int | None = CHECK_ROWS

    @property
    def source(self) -> Path | None:
        """What the file, or the table, is called in the words of problems."""
        if self.file is None:
            return self.requests.name if isinstance(self.requests, NamedRows) else None
        if isinstance(self.file, Path):
            return self.file
        name = getattr(self.file, "name", None)
        return STANDARD_INPUT if name in ("<stdin>", 0) else Path(name if isinstance(name, str) else "the stream")

    @property
    def unit(self) -> Unit:
        """What problems count in it."""
        return "line" if self.requests is None else "row"


def read_submission(given: SubmitOptions) -> tuple[Rows, Options]:
    """The rows and the options of a submission.

    Raises:
        ValidationError: an option is unknown or wrong; names it.
    """
    options = read_options({name: value for name, value in given.items() if name not in _ABOUT_ROWS})
    rows = Rows(
        requests=_check_requests(given.get("requests")),
        file=_check_input(given.get("input")),
        check_rows=_check_number(given.get("check_rows", CHECK_ROWS)),
    )
    if (rows.requests is None) == (rows.file is None):
        raise ValidationError("give either requests= (a list) or input= (the path of a JSONL file)")
    return rows, options


def read_options(options: Mapping[str, object]) -> Options:
    """The options of a submission, without the rows.

    Raises:
        ValidationError: one is unknown or wrong; names it.
    """
    for name in options:
        if name not in Options.__struct_fields__ and name != _SCHEMA:
            raise unknown_option(name, {*Options.__struct_fields__, *_ABOUT_ROWS, _SCHEMA})
    try:
        return msgspec.convert(_with_config(options), Options, from_attributes=True)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$.")
        raise ValidationError(_shown(f"{where.rstrip('`') or 'options'}: {message}")) from None


_ABOUT_ROWS = frozenset({"requests", "input", "check_rows"})
_SCHEMA = "output_schema"


def _with_config(options: Mapping[str, object]) -> Mapping[str, object]:
    """The options with a schema as a part of `generation_config`, and no class in it."""
    config, schema = options.get("generation_config"), options.get(_SCHEMA)
    if schema is not None:
        config = to_plain(config) if isinstance(config, GenerationConfig) else config or {}
        if isinstance(config, dict) and config.get(_SCHEMA) is not None:
            raise ValidationError("output_schema: given twice, as an option and in generation_config; keep one")
    if isinstance(config, dict):
        config = written_config(config if schema is None else config | {_SCHEMA: schema})
    rest = {name: value for name, value in options.items() if name not in ("generation_config", _SCHEMA)}
    return rest if config is None else rest | {"generation_config": config}


def _shown(value: object) -> str:
    return printable(str(value), _SHOWN)


def _check_requests(value: object) -> Iterable[object] | None:
    if value is None or (isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))):
        return value
    raise ValidationError(f"requests must be a list of requests, not {type(value).__name__}")


def _check_input(value: object) -> Path | BinaryIO | None:
    if value is None:
        return None
    if isinstance(value, io.TextIOBase):
        raise ValidationError("input: the stream is one of text; give one of bytes: open(path, 'rb'), sys.stdin.buffer")
    if callable(getattr(value, "read", None)):
        return cast(BinaryIO, value)
    if not isinstance(value, (str, Path)):
        raise ValidationError(f"input must be the path of a JSONL file, or a binary stream, not {type(value).__name__}")
    if "://" in str(value):
        raise ValidationError(f"input: {_shown(value)} is a URL; only files of this machine are supported")
    return Path(value).absolute()


def _check_number(value: object) -> int | None:
    if value is None or (type(value) is int and value >= 0):
        return value
    raise ValidationError(f"check_rows must be a number of rows, or None for all, not {value!r}")
