"""A hostile author of rows, who names images: addresses of the worker's own machine and network, files, bombs."""

import gzip
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

import pytest

from batch_router.core import ErrorType
from batch_router.providers.vllm.preparing import LARGEST_AT_A_TIME
from batch_router.providers.vllm.rows import REFUSED, RowError
from batch_router.providers.vllm.rows import read as read_row
from batch_router.security.addresses import is_public
from tests.providers.vllm_runs import LABEL, Runs, decode, read, runs

__all__ = ["runs"]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
DATA = "data:image/png;base64,"


class Elsewhere(ThreadingHTTPServer):
    """A server of the worker's own machine: it has images, and it also plays a vLLM that runs elsewhere.

    Attributes:
        asked: how often each path was asked for.
        rows: the bodies of the rows that reached the engine.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.rows: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Elsewhere

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        if self.path == "/endless":
            self._send_on_and_on("image/png")
            return
        answers: dict[str, tuple[int, dict[str, str], bytes]] = {
            "/v1/models": (200, {}, json.dumps({"data": [{"id": "m"}]}).encode()),
            "/image.png": (200, {"Content-Type": "image/png"}, PNG),
            "/unsaid": (200, {"Content-Type": "application/octet-stream"}, PNG),
            "/page": (200, {"Content-Type": "text/html"}, b"<html>"),
            "/redirect": (302, {"Location": "/image.png"}, b""),
            "/gzip": (200, {"Content-Type": "image/png", "Content-Encoding": "gzip"}, gzip.compress(bytes(1 << 20))),
            "/large": (200, {"Content-Type": "image/png"}, bytes(200_000)),
            "/flaky": (503 if self.server.asked["/flaky"] == 1 else 200, {"Content-Type": "image/png"}, PNG),
            "/away": (503, {}, b""),
        }
        self._send(*answers.get(self.path, (404, {}, b"")))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.rows.append(body)
        if "endless" in json.dumps(body):
            self._send_on_and_on("application/json")
            return
        if "bomb" in json.dumps(body):
            self._send(200, {}, b'{"object": "chat.completion",\n"x": [' + b"[]," * 1_000_000 + b"0]}")
            return
        message = {"message": {"content": "seen"}, "finish_reason": "stop"}
        self._send(200, {}, json.dumps({"object": "chat.completion", "choices": [message]}).encode())

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _send_on_and_on(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        with suppress(OSError):  # until the other side has enough
            while True:
                self.wfile.write(bytes(1 << 16))

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def row(*parts: object, number: int = 0, **body: Any) -> bytes:
    messages = [{"role": "user", "content": list(parts)}]
    row = {"custom_id": f"{LABEL}-{number}", "method": "POST", "url": "/v1/chat/completions"}
    return json.dumps(row | {"body": {"model": "m", "messages": messages} | body}).encode() + b"\n"


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def answers(runs: Runs, elsewhere: Elsewhere, *lines: bytes) -> list[tuple[str | None, str | None]]:
    """Type and message of each row's error, by a server that runs elsewhere."""
    runs.rows.write_bytes(b"".join(lines))
    client = runs.client(base_url=f"http://{elsewhere.address}")
    job = client.create(runs.file_rows(), runs.spec())
    results = sorted((decode(each) for each in read(client, job)), key=lambda each: each.custom_id)
    return [(each.error.type, each.error.message) if each.error else (None, None) for each in results]


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1:{port}/image.png",
        "http://localhost:{port}/image.png",
        "http://[::ffff:127.0.0.1]:{port}/image.png",
        "http://[::1]:{port}/image.png",
        "http://[::ffff:7f00:1]:{port}/image.png",
        "http://2130706433:{port}/image.png",
        "http://0x7f.1:{port}/image.png",
        "http://0.0.0.0:{port}/image.png",
        "http://me@127.0.0.1:{port}/image.png",
        "HTTP://127.0.0.1:{port}/image.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "ftp://127.0.0.1:{port}/image.png",
        "gopher://127.0.0.1:{port}/image.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1%25lo]:{port}/image.png",
        "http://",
        "http://[x]/",
        "",
    ],
)
def test_no_row_reaches_the_workers_network(runs: Runs, elsewhere: Elsewhere, place: str) -> None:
    """Nothing is asked for, by whatever name or number; the row has the error, and the others are answered."""
    url = place.format(port=elsewhere.server_port)
    (kind, message), other = answers(runs, elsewhere, row(image(url)), row({"type": "text", "text": "hi"}, number=1))
    assert (kind, other) == (ErrorType.INVALID_REQUEST, (None, None)), message
    assert set(elsewhere.asked) == {"/v1/models"}
    assert len(elsewhere.rows) == 1


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": "URL"},
        {"image_url": "URL"},
        {"type": "input_image", "image_url": "URL"},
        {"type": "text", "text": "x", "uuid": "1", "image_url": "URL"},
        {"type": "text", "text": "x", "uuid": "1", "image_url": {"url": "URL"}},
        {"type": "video_url", "video_url": {"url": "URL"}},
        {"type": "audio_url", "audio_url": {"url": "URL"}},
        {"audio_url": "URL"},
        {"type": "image", "url": "URL"},
        {"type": "thinking", "thinking": [{"type": "image_url", "image_url": {"url": "URL"}}]},
        [{"type": "image_url", "image_url": {"url": "URL"}}],
    ],
)
@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "file:///etc/passwd"])
def test_no_form_of_a_part_passes_by(runs: Runs, elsewhere: Elsewhere, part: Any, url: str) -> None:
    """VLLM has many, and some count whatever the part says of its type."""
    part = json.loads(json.dumps(part).replace("URL", url))
    assert [kind for kind, _ in answers(runs, elsewhere, row(part))] == [ErrorType.INVALID_REQUEST]
    assert elsewhere.rows == []


def test_embeddings_have_messages_too(runs: Runs, elsewhere: Elsewhere) -> None:
    """Also several conversations in one row."""
    message = {"role": "user", "content": [image("http://127.0.0.1:9/x")]}
    bodies: list[dict[str, Any]] = [{"input": [message]}, {"input": [[message]]}]
    bodies += [{"input": "x", "messages": [message]}, {"input": "x", "messages": [[message]]}]
    lines = []
    for number, body in enumerate(bodies):
        of_row = {"custom_id": f"{LABEL}-{number}", "url": "/v1/embeddings", "body": {"model": "m"} | body}
        lines.append(json.dumps(of_row).encode() + b"\n")
    found = answers(runs, elsewhere, *lines)
    assert [kind for kind, _ in found] == [ErrorType.INVALID_REQUEST] * 4
    assert elsewhere.rows == []


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/page", ErrorType.INVALID_REQUEST, "is no image, video or sound"),
        ("/redirect", ErrorType.INVALID_REQUEST, "redirects are not followed"),
        ("/gzip", ErrorType.INVALID_REQUEST, "is compressed"),
        ("/large", ErrorType.INVALID_REQUEST, "BATCH_ROUTER_MAX_ROW_BYTES"),
        ("/nowhere", ErrorType.INVALID_REQUEST, "answers 404"),
        ("/away", ErrorType.SERVER, "answers 503"),
    ],
)
def test_what_is_no_image_is_the_rows_error(
    runs: Runs, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, path: str, kind: ErrorType, words: str
) -> None:
    """The operator allows the host, and it answers something else; a passing fault may be tried again later."""
    monkeypatch.setenv("BATCH_ROUTER_VLLM_MEDIA_DOMAINS", '["127.0.0.1"]')
    monkeypatch.setenv("BATCH_ROUTER_MAX_ROW_BYTES", "100000")
    ((found, message),) = answers(runs, elsewhere, row(image(f"http://{elsewhere.address}{path}")))
    assert found == kind
    assert words in str(message)
    assert elsewhere.asked["/image.png"] == 0


@pytest.mark.parametrize("path", ["/image.png", "/unsaid", "/flaky"])
def test_an_image_goes_into_its_row(
    runs: Runs, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The engine gets data; what is data already stays."""
    monkeypatch.setenv("BATCH_ROUTER_VLLM_MEDIA_DOMAINS", '["127.0.0.1"]')
    line = row(image(f"http://{elsewhere.address}{path}"), image("DATA:image/gif;base64,aaaa"))
    assert answers(runs, elsewhere, line) == [(None, None)]
    first, second = elsewhere.rows[0]["messages"][0]["content"]
    assert first["image_url"]["url"].startswith(DATA)
    assert second["image_url"]["url"] == "DATA:image/gif;base64,aaaa"


def test_only_the_hosts_of_the_operator_are_asked(
    runs: Runs, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a list, a public address is not enough."""
    monkeypatch.setenv("BATCH_ROUTER_VLLM_MEDIA_DOMAINS", '["images.example"]')
    lines = [row(image(f"http://{host}/x"), number=n) for n, host in enumerate((elsewhere.address, "8.8.8.8"))]
    for kind, message in answers(runs, elsewhere, *lines):
        assert kind == ErrorType.INVALID_REQUEST
        assert "is not one of BATCH_ROUTER_VLLM_MEDIA_DOMAINS" in str(message)


def test_no_proxy_looks_an_address_up(runs: Runs, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would connect to what we refuse; for hosts that the operator lists it is used."""
    monkeypatch.setenv("http_proxy", f"http://{elsewhere.address}")
    monkeypatch.setenv("no_proxy", elsewhere.address)
    answers(runs, elsewhere, row(image("http://localhost:9/image.png")))
    assert set(elsewhere.asked) == {"/v1/models"}
    monkeypatch.setenv("BATCH_ROUTER_VLLM_MEDIA_DOMAINS", '["images.invalid"]')
    runs.rows.with_name(f"{runs.rows.name}.out.jsonl").unlink()
    answers(runs, elsewhere, row(image("http://images.invalid/image.png")))
    assert elsewhere.asked["http://images.invalid/image.png"] > 0


def test_a_run_batch_has_the_images_in_its_rows(runs: Runs, elsewhere: Elsewhere) -> None:
    """A row that is refused takes no place in the run."""
    runs.rows.write_bytes(
        row(image(f"http://{elsewhere.address}/image.png")) + row({"type": "text", "text": "hi"}, number=1)
    )
    job = runs.create()
    results = {each.custom_id: each for each in map(decode, read(runs.client(), job))}
    assert (results[f"{LABEL}-0"].error is None, results[f"{LABEL}-1"].error) == (False, None)
    assert elsewhere.asked == Counter()


PRIVATE = (
    "127.0.0.1 10.0.0.1 172.16.0.1 192.168.0.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 240.0.0.1 255.255.255.255 "
    "198.18.0.1 :: ::1 ::7f00:1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: 2001::1 "
    "fe80::1 fec0::1 fc00::1 ff0e::1 100::1 2001:db8::1"
)


def test_which_addresses_are_public() -> None:
    """Also where one of IPv4 hides in one of IPv6."""
    assert [each for each in PRIVATE.split() if is_public(ip_address(each))] == []
    public = "8.8.8.8 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808"
    assert all(is_public(ip_address(each)) for each in public.split())


@pytest.mark.parametrize("name", [*REFUSED, "chat_template_kwargs", "structured_outputs", "response_format", "model"])
def test_a_row_is_a_prompt(name: str) -> None:
    """It says nothing of how an engine works: no files, no code, no machines, no grammar without end."""
    values: dict[str, Any] = {
        "chat_template_kwargs": {"chat_template": "{{ x }}"},
        "structured_outputs": {"grammar": "root ::= root"},
        "response_format": {"type": "structural_tag", "structures": []},
        "model": "another",
        "chat_template": "{% for x in range(9) %}",
    }
    line = row({"type": "text", "text": "hi"}, **{name: values.get(name, {"x": "y"})})
    with pytest.raises(RowError, match=name):
        read_row(line, "m")


def test_a_schema_is_bounded() -> None:
    """VLLM makes a program of it."""
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["x" * 1000] * 100}}}
    with pytest.raises(RowError, match="response_format: more than 65,536 bytes"):
        read_row(row({"type": "text", "text": "hi"}, response_format=schema), "m")
    schema["json_schema"] = {"name": "x", "schema": {"enum": ["x"]}}
    read_row(row({"type": "text", "text": "hi"}, response_format=schema), "m")


def test_an_engine_reads_what_was_checked(runs: Runs, elsewhere: Elsewhere) -> None:
    """A key that stands twice, or is escaped, means the same to both."""
    line = row({"type": "text", "text": "hi"})
    twice = line.replace(b'"text": "hi"', b'"text": "hi", "image\\u005furl": "http://127.0.0.1:9", "image_url": null')
    assert twice != line
    assert answers(runs, elsewhere, twice) == [(None, None)]
    assert elsewhere.rows[0]["messages"][0]["content"] == [{"type": "text", "text": "hi", "image_url": None}]


# A worker's process, with the peak of its memory over what it had before the job.
_WORKER = """
import sys
from pathlib import Path
from batch_router.core.jobs import JobSpec
from batch_router.providers import VLLMProvider
from batch_router.settings import Settings
from tests.file_rows import FileRows
from tests.memory import peak_memory

home, name, url = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
rows = FileRows(home / name, name)
client = VLLMProvider(base_url=url).connect(Settings.from_env())
before = peak_memory()
client.create(rows, JobSpec(label="0123456789abcdef", model="m", rows=1, upload=name))
print(peak_memory() - before)
"""


def test_memory_is_bounded(runs: Runs, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few of the largest rows and answers are held at a time, and answers of a million values are not taken apart."""
    most = 4 << 20
    monkeypatch.setenv("BATCH_ROUTER_VLLM_MEDIA_DOMAINS", '["127.0.0.1"]')
    monkeypatch.setenv("BATCH_ROUTER_MAX_ROW_BYTES", str(most))
    monkeypatch.setenv("BATCH_ROUTER_MAX_ANSWER_BYTES", str(most))
    endless = image(f"http://{elsewhere.address}/endless")
    lines = [row(endless, number=n) for n in range(60)]
    lines += [row({"type": "text", "text": "endless"}, number=n) for n in range(60, 120)]
    lines += [row({"type": "text", "text": "bomb"}, number=n) for n in range(120, 130)]
    runs.rows.write_bytes(b"".join(lines))
    command = [sys.executable, "-c", _WORKER, str(runs.home), runs.name, f"http://{elsewhere.address}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    lines = runs.rows.with_name(f"{runs.rows.name}.out.jsonl").read_bytes().splitlines()
    errors = [decode(json.loads(line)).error for line in lines if len(line) < 1000]
    assert {error and error.type for error in errors} == {ErrorType.INVALID_REQUEST}
    assert (len(errors), len(lines)) == (120, 130)
    assert int(done.stdout) < LARGEST_AT_A_TIME * most + (64 << 20)
