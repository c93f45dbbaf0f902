"""The results of a shard as they are written: counted and hashed, so that no later step reads them for the books."""

import hashlib
from collections import Counter
from typing import BinaryIO

import msgspec

from ..core import ErrorType, ReasonCounter, ResultStatus, TokenCounter, UnifiedResult
from ..jsonl import TOO_DEEP
from ..state.parts import Part
from .answers import unreadable

_encode_into = msgspec.json.Encoder().encode_into

_BUFFER = 1 << 18


class PartWriter:
    """Writes results to an object of this name.

    Attributes:
        tokens: of the answers that were read, also of those that are no result of the part.
    """

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self._name = name
        self._stream = stream
        self._buffer = bytearray()
        self._succeeded = 0
        self._counts: Counter[str] = Counter()
        self._invalid = 0
        self._reasons = ReasonCounter()
        self.tokens = TokenCounter()
        self._size = 0
        self._digest = hashlib.sha256()

    def add(self, result: UnifiedResult) -> None:
        """Write a result; one that is nested too deeply becomes an error."""
        buffer = self._buffer
        try:
            _encode_into(result, buffer, -1)
        except RecursionError:
            del buffer[buffer.rfind(b"\n") + 1 :]  # what was written of it until then
            result = unreadable(result.custom_id, TOO_DEEP)
            _encode_into(result, buffer, -1)
        buffer += b"\n"
        if result.status is ResultStatus.SUCCEEDED:  # an enum's member is slow to hash
            self._succeeded += 1
        else:
            self._counts[result.status] += 1
            self._invalid += result.error is not None and result.error.type is ErrorType.INVALID_OUTPUT
            if result.status is ResultStatus.ERRORED and result.error is not None:
                self._reasons.add(result.error)
        if len(buffer) > _BUFFER:
            self._flush()

    def finish(self, *, unexpected: int, repaired: int) -> Part:
        """Write what is left; the part."""
        self._flush()
        part = Part(
            name=self._name,
            unexpected=unexpected,
            repaired=repaired,
            invalid=self._invalid,
            size=self._size,
            sha256=self._digest.hexdigest(),
            succeeded=self._succeeded,
            reasons=self._reasons.most_common(),
            tokens=self.tokens.sum(),
        )
        return msgspec.structs.replace(part, **self._counts)

    def _flush(self) -> None:
        self._stream.write(self._buffer)
        self._digest.update(self._buffer)
        self._size += len(self._buffer)
        self._buffer.clear()
