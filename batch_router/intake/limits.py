"""The bounds of what a batch says for all of its rows."""

import msgspec

from ..bounds import Bounds, beyond
from ..exceptions import ValidationError
from ..jsonl import TOO_DEEP
from .options import Options
from .rows import too_large


def check_limits(options: Options, bounds: Bounds) -> None:
    """Refuse options that are too large to be kept and to be sent with each row.

    Raises:
        ValidationError: says which, the bound and its setting.
    """
    if len(_encode(options.metadata)) > bounds.max_metadata_bytes:
        raise ValidationError(f"metadata: {beyond('max_metadata_bytes', bounds.max_metadata_bytes)} bytes; shorten it")
    if len(_encode(options.engine_options)) > (most := bounds.max_engine_options_bytes):
        raise ValidationError(f"engine_options: {beyond('max_engine_options_bytes', most)} bytes; shorten them")
    # A system prompt or a schema becomes a part of each row.
    if problem := too_large(_encode(options), bounds):
        raise ValidationError(f"options: {problem}")


def _encode(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except RecursionError:
        raise ValidationError(f"options: {TOO_DEEP}") from None
    except (TypeError, ValueError) as error:  # what JSON does not have; a lone surrogate
        raise ValidationError(f"options: cannot be written as JSON: {error}") from None
