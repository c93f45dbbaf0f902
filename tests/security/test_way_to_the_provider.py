"""What stands between us and a provider: certificates, proxies, cookies."""

import shutil
import ssl
import subprocess
import traceback
from pathlib import Path

import pytest

from batch_router.core import BatchStatus
from batch_router.exceptions import (
    ProviderAPIError,
    ProviderUnavailableError,
)

from .hostile_server import Asked, HostileServer, reply
from .provider_calls import KEY, NAMES, PROVIDERS, client_of, job_answer, says

# --- the way there --------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> Path:
    """A certificate that signs itself, with its key in the same file."""
    key, path = folder / "key.pem", folder / f"{name.replace(':', '-')}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=test"]
    names = ["-addext", f"subjectAltName={name}", "-addext", "basicConstraints=critical,CA:TRUE"]
    subprocess.run([*command, *names, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificates with openssl")
def test_certificates_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of an unknown CA is refused, and so is another host's; a CA of `SSL_CERT_FILE` is trusted."""
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    own, foreign = certificate(tmp_path, "IP:127.0.0.1"), certificate(tmp_path, "DNS:other.example")
    stranger = certificate(tmp_path, "IP:127.0.0.2")
    for served, trusted, reason in (
        (own, own, None),
        (own, stranger, "CERTIFICATE_VERIFY_FAILED"),
        (foreign, foreign, "CERTIFICATE_VERIFY_FAILED"),
    ):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(served)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        for provider in PROVIDERS:
            with HostileServer(says(job_answer(provider)), tls) as server:
                client = client_of(provider, server.url)
                if reason is None:
                    assert client.get(str(NAMES[provider][0])).status is BatchStatus.COMPLETED
                    continue
                with pytest.raises(ProviderUnavailableError, match=reason) as caught:
                    client.get(str(NAMES[provider][0]))
                assert not caught.value.ambiguous
                assert server.asked == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_proxies_of_the_environment_are_used(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For `http` the proxy is asked, for `https` it only makes the connection, without the key; `NO_PROXY` counts."""
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    job_id = str(NAMES[provider][0])

    def answer(asked: Asked) -> bytes:
        return reply(403) if asked.method == "CONNECT" else says(job_answer(provider))(asked)  # type: ignore[return-value]

    with HostileServer(answer) as proxy, HostileServer(answer) as server:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:pass@"))
        assert client_of(provider, "http://service.example/x").get(job_id).status is BatchStatus.COMPLETED
        assert proxy.asked[0].path.startswith("http://service.example/x/")
        with pytest.raises(ProviderUnavailableError, match="403") as caught:
            client_of(provider, "https://service.example/x").get(job_id)
        assert not caught.value.ambiguous
        assert (proxy.asked[1].method, proxy.asked[1].path) == ("CONNECT", "service.example:443")
        assert KEY.encode() not in proxy.asked[1].head
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert client_of(provider, server.url).get(job_id).status is BatchStatus.COMPLETED
        assert (len(proxy.asked), len(server.asked)) == (2, 1)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("HTTPS_PROXY", "ftp://user:hush@proxy"),
        ("HTTPS_PROXY", "http://user:hush@[::1"),
    ],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_wrong_environment_is_waited_out(
    provider: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is started with a misspelt proxy or CA gives up no job that is paid for: the error may pass."""
    for name in ("SSL_CERT_DIR", "https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ProviderUnavailableError, match=f"{variable}.* cannot be used") as caught:
        client_of(provider, "https://service.example")
    assert caught.value.retryable
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_no_cookie_is_kept() -> None:
    """A service could fill the memory with them, and have each request carry them."""
    with HostileServer(lambda _: reply(404, set_cookie="a=b; Path=/")) as server:
        client = client_of("openai", server.url)
        for _ in range(2):
            with pytest.raises(ProviderAPIError):
                client.get("batch_1")
    assert all(b"cookie" not in asked.head.lower() for asked in server.asked)
