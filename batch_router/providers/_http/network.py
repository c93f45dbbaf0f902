"""Connections that give up on who is too slow: the time-out of a socket starts again with each byte that arrives."""

import socket
import ssl
import struct
import time
from collections.abc import Iterable
from typing import Any

import httpcore2

from ..base import SLOWEST_SENDING

#: The slowest answer that is waited for, in bytes per second on average; the slowest mobile network has ten times that.
MIN_BYTES_PER_SECOND = 1024

# Bytes per write, of which each takes what is left of the time at most: a full socket takes more only when a third of
# its buffer is free, and that is more than a piece.
_PIECE = 1 << 14

# `l_onoff` and `l_linger` of SO_LINGER: what is in the socket's buffer is dropped.
_DROP = struct.pack("ii", 1, 0)


class PacedBackend(httpcore2.SyncBackend):
    """Connects to a service.

    Args:
        timeout: seconds, see `PacedStream`.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """See `httpcore2.NetworkBackend`."""
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        return PacedStream(stream, self._timeout)


class PacedStream(httpcore2.NetworkStream):
    """A connection on which sending a request may take `timeout` seconds in all, and so may receiving its answer.

    What is sent adds to that, and so does what `extend` is told: the body of an answer, but not its headers, of which
    there may be any number (`100 Continue`). A request that was given up is not sent on by the system.
    """

    def __init__(self, stream: httpcore2.NetworkStream, timeout: float) -> None:
        self._stream = stream
        self._timeout = timeout
        self._is_reading: bool | None = None
        self._is_answered = True
        self._deadline = 0.0

    def extend(self, count: int) -> None:
        """Give the time that so many bytes of an answer may take."""
        self._deadline += count / MIN_BYTES_PER_SECOND

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See `httpcore2.NetworkStream`."""
        left = self._left(timeout, is_reading=True)
        if left <= 0:
            raise httpcore2.ReadTimeout("the answer comes too slowly")
        data = self._stream.read(max_bytes, left)
        self._is_answered = True
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See `httpcore2.NetworkStream`."""
        self._is_answered = False
        for start in range(0, len(buffer), _PIECE):
            left = self._left(timeout, is_reading=False)
            if left <= 0:
                raise httpcore2.WriteTimeout("the request is taken too slowly")
            piece = buffer[start : start + _PIECE]
            self._stream.write(piece, left)
            self._deadline += len(piece) / SLOWEST_SENDING

    def _left(self, timeout: float | None, *, is_reading: bool) -> float:
        """The seconds that may still pass; a change of direction begins a request, or its answer."""
        now = time.monotonic()
        if is_reading is not self._is_reading:
            self._is_reading = is_reading
            self._deadline = now + self._timeout
        left = self._deadline - now
        return left if timeout is None else min(left, timeout)

    def close(self) -> None:
        """See `httpcore2.NetworkStream`."""
        if not self._is_answered:
            self.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP)
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """See `httpcore2.NetworkStream`."""
        return PacedStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._timeout)

    def get_extra_info(self, info: str) -> Any:
        """See `httpcore2.NetworkStream`."""
        return self._stream.get_extra_info(info)
