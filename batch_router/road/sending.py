"""By when the rows of a request have left this process: while the lease of the step holds, and before a deadline.

The deadline follows from the size of the rows. So a worker that claims the shard later knows from when on the request
can no longer arrive, however slow the line is.
"""

import io
import time
from typing import TYPE_CHECKING, BinaryIO, cast

from ..exceptions import ProviderUnavailableError
from ..providers import SLOWEST_SENDING
from ..settings import Settings
from .lease import Lease, LeaseLostError

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: The lease must hold this much longer when something is sent, so that a pause between check and call is covered.
MARGIN = 2.0


def time_to_send(settings: Settings, size: int) -> float:
    """Seconds from the last sign of life of a step until it sends nothing more: to begin, to connect, to send.

    Args:
        settings: of the process.
        size: bytes of the rows that the request carries; 0: none.
    """
    return settings.lease + settings.http_timeout + size / SLOWEST_SENDING


class Sending:
    """The time in which rows may be sent, from now on.

    Args:
        provider: whom they are sent to.
        lease: of the step that sends them.
        seconds: see `time_to_send`.
    """

    def __init__(self, provider: str, lease: Lease, seconds: float) -> None:
        self._provider = provider
        self._lease = lease
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def check(self) -> None:
        """Make sure that rows may still be sent.

        Raises:
            ProviderUnavailableError: they may not, so the request must not end; some of it may have arrived.
        """
        if time.monotonic() >= self._until:
            self._refuse(f"the rows could not be sent within {self._seconds:.0f} s")
        try:
            self._lease.require(MARGIN)
        except LeaseLostError:
            self._refuse("this worker lost touch with the store while it sent the rows")

    def _refuse(self, why: str) -> None:
        raise ProviderUnavailableError(self._provider, 0, why, ambiguous=True)


class TimedStream(io.RawIOBase):
    """A stream of rows that ends with an error when they may no longer be sent; its methods are those of `RawIOBase`.

    Args:
        stream: the rows.
        sending: the time in which they may be sent.
    """

    def __init__(self, stream: BinaryIO, sending: Sending) -> None:
        super().__init__()
        self._stream = stream
        self._sending = sending

    def readable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:  # noqa: D102
        return self._stream.seek(offset, whence)

    def readinto(self, buffer: "Buffer", /) -> int:  # noqa: D102
        self._sending.check()
        return cast(io.BufferedReader, self._stream).readinto(buffer)

    def close(self) -> None:  # noqa: D102
        self._stream.close()
        super().close()
