"""A TLS server in front of the tests' Valkey, and the certificates for it."""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Signed = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def certificate(folder: Path, name: str, host: str | None = None, signer: Signed | None = None) -> Signed:
    """Write `<name>.crt` and `<name>.key`: of a CA, or for a host; signed by its own key if by no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
    )
    if host is not None:
        names: list[x509.GeneralName] = [x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)]
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = made.sign(signer[1] if signer else key, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(key.private_bytes(*form))
    return signed, key


class TlsServer:
    """Hands on to another port what clients send by TLS.

    Attributes:
        port: where it listens.
        connected: how many connections were made, whatever became of them.
        heard: all that clients sent, decrypted.
    """

    def __init__(self, upstream: int, context: ssl.SSLContext, opened: ExitStack) -> None:
        self.connected = 0
        self.heard = b""
        self._upstream = upstream
        self._context = context
        self._opened = opened
        self._listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        self._opened.callback(thread.join, 10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connected += 1
                self._start(partial(self._serve, client))

    def _serve(self, client: socket.socket) -> None:
        with (
            suppress(OSError),
            client,
            self._context.wrap_socket(client, server_side=True) as shown,
            socket.create_connection(("127.0.0.1", self._upstream)) as upstream,
        ):
            self._hand_on(shown, upstream)

    def _hand_on(self, client: ssl.SSLSocket, upstream: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([client, upstream], [], [], 0 if client.pending() else 0.1)
            if client in ready or client.pending():
                if not (data := client.recv(1 << 16)):
                    return
                self.heard += data
                upstream.sendall(data)
            if upstream in ready:
                if not (data := upstream.recv(1 << 16)):
                    return
                client.sendall(data)
            if self._listener.fileno() < 0:
                return

    def stop(self) -> None:
        """End all of it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def tls_server(upstream: int, folder: Path, name: str, client_ca: str | None = None) -> Iterator[TlsServer]:
    """A server with the certificate of that name, which wants one of its clients' if it is given their CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / f"{client_ca}.crt")
    with ExitStack() as opened:
        server = TlsServer(upstream, context, opened)
        opened.callback(server.stop)
        yield server
