"""A bound on answers that never end: the time-out of a read starts again with each byte that arrives."""

import time
from collections.abc import Callable, Iterator

import httpx2

#: The slowest answer that is waited for, in bytes per second on average; the slowest mobile network has ten times that.
MIN_BYTES_PER_SECOND = 1024


def keep_pace(timeout: float) -> Callable[[httpx2.Response], None]:
    """A hook for the responses of an HTTP client: reading one that is too slow raises `ReadTimeout`.

    Args:
        timeout: seconds that any answer may take, however slow it is.
    """

    def pace(response: httpx2.Response) -> None:
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Paced(response, response.stream, timeout)

    return pace


class _Paced(httpx2.SyncByteStream):
    def __init__(self, response: httpx2.Response, stream: httpx2.SyncByteStream, timeout: float) -> None:
        self._request = response.request
        self._stream = stream
        self._timeout = timeout

    def __iter__(self) -> Iterator[bytes]:
        since, received = time.monotonic(), 0
        for chunk in self._stream:
            yield chunk
            received += len(chunk)
            # The reader's own time counts, too: it writes to a disk, which is faster.
            elapsed = time.monotonic() - since
            if elapsed > self._timeout + received / MIN_BYTES_PER_SECOND:
                raise httpx2.ReadTimeout(f"{received} bytes in {elapsed:.0f} s", request=self._request)

    def close(self) -> None:
        self._stream.close()
