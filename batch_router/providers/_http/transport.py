"""The one place that makes HTTP clients.

Whatever an SDK or a provider's answer asks for, a client of these

* sends to its one address and nowhere else, and follows no redirect, but for the downloads of a service that needs it;
* verifies certificates, with the CAs of the system or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`;
* goes through the proxies of the environment;
* takes answers of a bounded size, in a bounded time.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

import httpcore2
import httpx2

from ...bounds import beyond
from ...exceptions import ProviderUnavailableError
from ...security.printable import printable
from .address import Address
from .body import ENCODING, bounded, decompressed, is_compressed, of_few_values, start_of
from .network import PacedBackend, PacedStream
from .proxies import proxy_of
from .refused import NotSentError, RefusedError, TooLargeError

#: Bytes of an answer that is read whole. A list of a hundred jobs has less than one megabyte.
MOST_BYTES: Final = 8 << 20
#: JSON values in such an answer. That list has some thousands.
MOST_VALUES: Final = 200_000
#: Bytes that are read of an error. Some are pages of HTML, and an SDK makes values of all its JSON.
MOST_BYTES_OF_ERROR: Final = 64 << 10

# As the SDKs and `httpx2` have it, seconds.
_KEEP_ALIVE = 5.0
_MOST_IDLE = 20
_SHOWN = 100
_REMEDY = "set the base URL to that of the API itself"
_REDIRECTS, _MOST_REDIRECTS = frozenset({301, 302, 303, 307, 308}), 3
# Key of a request's `extensions`: whether its answer is read piece by piece.
_STREAMED = "batch_router.streamed"

Hook = Callable[[httpx2.Response], None]


def open_client(
    address: Address,
    *,
    timeout: float,
    most_streamed: int = MOST_BYTES,
    redirects_downloads: bool = False,
    use_proxies: bool = True,
    hooks: Iterable[Hook] = (),
) -> httpx2.Client:
    """A client of one service; relative URLs are below its address.

    Args:
        address: where the service is.
        timeout: seconds that connecting, sending a request and receiving its answer may take each; a request may take a
            second more for each 64 KiB, the body of an answer for each KiB.
        most_streamed: bytes of an answer that is read piece by piece: `Bounds.max_answers_bytes`.
        redirects_downloads: whether the service sends from one of its addresses to another for what is read piece by
            piece; then that is followed, below `address`.
        use_proxies: whether those of the environment are between us and the service.
        hooks: called with each answer before its body is read.

    Raises:
        ProviderUnavailableError: the environment's proxy or CA cannot be used; jobs wait until it is set right.
    """
    proxy = proxy_of(address.url) if use_proxies else None
    return _Client(
        base_url=address.url,
        auth=address.login,
        timeout=timeout,
        transport=_Transport(address, timeout, most_streamed, proxy, redirects_downloads),
        event_hooks={"response": list(hooks)},
    )


class _Client(httpx2.Client):
    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        request.extensions[_STREAMED] = stream
        return super().send(request, stream=stream, **options)


class _Transport(httpx2.BaseTransport):
    # Of its own, because that of `httpx2` takes no network backend.
    def __init__(
        self, address: Address, timeout: float, most_streamed: int, proxy: str | None, redirects_downloads: bool
    ) -> None:
        self._address = address
        self._most_redirects = _MOST_REDIRECTS if redirects_downloads else 0
        self._most_streamed = most_streamed
        with _usable(address, "SSL_CERT_FILE or SSL_CERT_DIR"):
            trusted = httpx2.create_ssl_context() if address.url.startswith("https:") else None
        with _usable(address, "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"):
            between = None if proxy is None else _as_httpcore(httpx2.Proxy(proxy))
        self._pool = httpcore2.ConnectionPool(
            ssl_context=trusted,
            proxy=between,
            max_connections=None,
            max_keepalive_connections=_MOST_IDLE,
            keepalive_expiry=_KEEP_ALIVE,
            network_backend=PacedBackend(timeout),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = ENCODING
        url, answer = request.url, self._ask(request, request.url)
        try:
            for _ in range(self._most_redirects):
                if (target := self._target(request, url, answer)) is None:
                    break
                answer.close()
                url, answer = target, self._ask(request, target)
            return self._take(answer, is_streamed=bool(request.extensions.get(_STREAMED)))
        except BaseException:
            answer.close()
            raise

    def _ask(self, request: httpx2.Request, url: httpx2.URL) -> httpcore2.Response:
        self._address.check(url)
        with _as_httpx():
            return self._pool.handle_request(
                httpcore2.Request(
                    request.method,
                    _url(url),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )

    def _target(self, request: httpx2.Request, url: httpx2.URL, answer: httpcore2.Response) -> httpx2.URL | None:
        """Where a redirect leads that is followed: nothing is sent along but what the same service was sent already."""
        is_download = request.method == "GET" and request.extensions.get(_STREAMED)
        where = httpx2.Headers(answer.headers).get("location")
        if not is_download or answer.status not in _REDIRECTS or where is None:
            return None
        try:
            target = url.join(where)
            self._address.check(target)
        except (httpx2.InvalidURL, NotSentError):
            return None
        return target

    def _take(self, answer: httpcore2.Response, *, is_streamed: bool) -> httpx2.Response:
        headers = httpx2.Headers(answer.headers)
        headers.pop("set-cookie", None)  # no API needs them, and a client would keep each
        _refuse_redirect(answer.status, headers)
        bound = self._bound(answer.status, is_streamed=is_streamed)
        pieces = bounded(_received(answer), *bound)
        if is_compressed(headers):
            pieces = bounded(decompressed(pieces), *bound)
            del headers["content-encoding"]
            headers.pop("content-length", None)
        if answer.status >= 400:
            pieces = start_of(pieces, MOST_BYTES_OF_ERROR)
        elif not is_streamed:
            pieces = of_few_values(pieces, MOST_VALUES)
        return httpx2.Response(
            answer.status, headers=headers, stream=_Body(pieces, answer.close), extensions=answer.extensions
        )

    def _bound(self, status: int, *, is_streamed: bool) -> tuple[int, str, type[RefusedError]]:
        if is_streamed and status < 400:
            return self._most_streamed, beyond("max_answers_bytes", self._most_streamed), TooLargeError
        return MOST_BYTES, f"more than {MOST_BYTES:,} bytes", RefusedError

    def close(self) -> None:
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, pieces: Iterator[bytes], close: Callable[[], None]) -> None:
        self._pieces = pieces
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self._close()


def _refuse_redirect(status: int, headers: httpx2.Headers) -> None:
    if 300 <= status < 400 and "location" in headers:
        where = printable(headers["location"], _SHOWN)
        raise RefusedError(f"answered {status}, a redirect to '{where}', which is not followed: {_REMEDY}")


def _received(answer: httpcore2.Response) -> Iterator[bytes]:
    connection = answer.extensions["network_stream"]
    with _as_httpx():
        for piece in answer.iter_stream():
            if isinstance(connection, PacedStream):
                connection.extend(len(piece))
            yield piece


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Raises the errors of `httpcore2` as those of the same name that `httpx2` has."""
    try:
        yield
    except (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.ProxyError,
        httpcore2.UnsupportedProtocol,
    ) as error:
        kind: type[httpx2.TransportError] = getattr(httpx2, type(error).__name__)
        raise kind(str(error)) from error


@contextmanager
def _usable(address: Address, variables: str) -> Iterator[None]:
    """What is wrong with an environment is set right later: it is no reason to give up a job that is paid for."""
    try:
        yield
    except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
        message = f"{variables} in the environment of this process cannot be used: {type(error).__name__}"
        raise ProviderUnavailableError(address.provider, 0, message) from None  # a proxy's URL may have a password


def _url(url: httpx2.URL) -> httpcore2.URL:
    return httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _as_httpcore(proxy: httpx2.Proxy) -> httpcore2.Proxy:
    if proxy.url.scheme.startswith("socks"):
        import_module("socksio")  # of the extra `httpx2[socks]`; `httpcore2` would miss it at the first request
    return httpcore2.Proxy(_url(proxy.url), auth=proxy.raw_auth, headers=proxy.headers.raw)
