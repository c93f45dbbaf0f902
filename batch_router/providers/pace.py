"""A bound on answers that never end: the time-out of a read begins anew with each byte that drips in."""

import time
from collections.abc import Callable, Iterator

import httpx2

#: Bytes per second, in the mean; the slowest mobile network has ten times as many.
LEAST_PACE = 1024


def keep_pace(timeout: float) -> Callable[[httpx2.Response], None]:
    """A hook for the responses of an HTTP client: reading one raises `ReadTimeout` if it falls behind.

    Args:
        timeout: seconds that any answer has, however slow it is.
    """

    def watch(response: httpx2.Response) -> None:
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Paced(response, response.stream, timeout)

    return watch


class _Paced(httpx2.SyncByteStream):
    def __init__(self, response: httpx2.Response, stream: httpx2.SyncByteStream, timeout: float) -> None:
        self._request = response.request
        self._stream = stream
        self._timeout = timeout

    def __iter__(self) -> Iterator[bytes]:
        since, came = time.monotonic(), 0
        for chunk in self._stream:
            yield chunk
            came += len(chunk)
            # The time that the reader takes counts, too: it writes to a disk, and that is faster.
            took = time.monotonic() - since
            if took > self._timeout + came / LEAST_PACE:
                raise httpx2.ReadTimeout(f"{came} bytes in {took:.0f} s", request=self._request)

    def close(self) -> None:
        self._stream.close()
