"""The options of a batch, as they are checked and stored."""

import hashlib
import re
import secrets
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..core import Endpoint, GenerationConfig
from ..core.jobs import EngineOption
from ..exceptions import ValidationError
from .encode import Unsupported

_BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Keys begin with these, and would end up in the state.
_CREDENTIAL = re.compile(r"(?!sk-|AIza)[A-Za-z0-9_-]{1,64}")


class Defaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the batch says for rows that do not say it themselves."""

    model: str | None = None
    endpoint: Endpoint | None = None
    system_prompt: str | list[str] | None = None
    generation_config: GenerationConfig | None = None


class Options(Defaults, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What `submit_batch` takes besides the rows.

    Attributes:
        unsupported: what becomes of a parameter that the provider does not take: an error, or it is left out.
        row_retries: how often a row that failed for a passing reason (expired, overloaded, missing...) is sent again.
        batch_id: the caller's own id for the batch: letters, digits, `_` and `-`, at most 64.
        idempotency_key: any text; a second submission with the same key and the same content is the same batch.
        credential: the name of the key to use: letters, digits, `_` and `-`. The key itself is where the workers run.
        metadata: the caller's own notes; `status` shows them.
        timeout: seconds after which the batch is cancelled, with the answers that it has by then.
        engine_options: for an engine of our own, without dashes (true: a flag): `{"max-model-len": 4096}`.
        keep_remote: leave the uploaded and the result files at the provider, where they are deleted otherwise.
    """

    unsupported: Unsupported = "error"
    row_retries: Annotated[int, Meta(ge=0, le=10)] = 2
    batch_id: str | None = None
    idempotency_key: Annotated[str, Meta(min_length=1)] | None = None
    credential: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    timeout: Annotated[float, Meta(gt=0)] | None = None
    keep_remote: bool = False
    engine_options: dict[str, EngineOption] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch_id is not None and not _BATCH_ID.fullmatch(self.batch_id):
            raise ValidationError("batch_id must be 1 to 64 letters, digits, '_' or '-'")
        if self.credential is not None and not _CREDENTIAL.fullmatch(self.credential):
            raise ValidationError("credential is the name of a key, not a key: 1 to 64 letters, digits, '_' or '-'")
        if self.batch_id is not None and self.idempotency_key is not None:
            raise ValidationError("give either batch_id or idempotency_key: the key makes the id")

    def choose_id(self) -> str:
        """The id of the batch; that of a key is always the same."""
        if self.idempotency_key is not None:
            return f"batch_{hashlib.sha256(self.idempotency_key.encode()).hexdigest()[:32]}"
        return self.batch_id or f"batch_{secrets.token_hex(8)}"


def read_options(options: dict[str, Any]) -> Options:
    """The options of a submission.

    Raises:
        ValidationError: one is unknown or wrong; names it.
    """
    unknown = options.keys() - set(Options.__struct_fields__)
    if unknown:
        known = ", ".join(sorted(Options.__struct_fields__))
        raise ValidationError(f"unknown option {sorted(unknown)[0]!r}; known: {known}")
    try:
        return msgspec.convert(options, Options, from_attributes=True)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$.")
        raise ValidationError(f"{where.rstrip('`') or 'options'}: {message}") from None
