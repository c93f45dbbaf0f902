"""A hostile provider takes neither our memory nor our time, however it answers."""

import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pytest

from batch_router.exceptions import ProviderUnavailableError
from batch_router.providers import UnlabelledClient
from tests.file_rows import FileRows

from .hostile_server import Asked, HostileServer, reply
from .provider_calls import NAMES, PROVIDERS, ROOT, call, client_of, job_answer, job_of

# --- bounds ---------------------------------------------------------------------------------------------------------


def zeros(size: int, wbits: int) -> bytes:
    """So many zeros, compressed to a thousandth; a block of them is compressed once, and repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    block = bytes(16 << 20)
    head = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + again * (size // len(block) - 1) + packer.flush()


def endless(head: bytes, *pieces: bytes) -> Iterator[bytes]:
    """An answer without an end; its last piece again and again."""
    return chain([head], pieces, repeat(pieces[-1]))


BOMB = zeros(2 << 30, 31)
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
EMPTY_BLOCK = b"\0\0\0\xff\xff"
ATTACKS: dict[str, Callable[[], bytes | Iterator[bytes]]] = {
    "gzip": lambda: reply(200, BOMB, content_encoding="gzip"),
    "deflate": lambda: reply(200, zeros(1 << 28, 15), content_encoding="deflate"),
    "br": lambda: reply(200, b"x" * 999, content_encoding="br"),
    "zstd": lambda: reply(200, b"x" * 999, content_encoding="zstd"),
    "twice": lambda: reply(200, BOMB, content_encoding="gzip, gzip"),
    "no gzip": lambda: reply(200, b"x" * 999, content_encoding="gzip"),
    "half a gzip": lambda: reply(200, zeros(1 << 26, 31)[:999], content_encoding="gzip"),
    "empty gzip": lambda: endless(
        JSON + b"content-encoding: gzip\r\n\r\n", zeros(16 << 20, 31)[:9], EMPTY_BLOCK * 200_000
    ),
    "endless line": lambda: endless(JSON + b"\r\n", b'{"text": "', b"x" * (1 << 20)),
    "values": lambda: reply(200, b"[" + b"{}," * (2 << 20) + b"{}]"),
    "levels": lambda: reply(200, b"[" * 60_000),
    "error": lambda: reply(500, BOMB, content_encoding="gzip"),
    "endless error": lambda: endless(JSON.replace(b"200", b"500") + b"\r\n", b"x" * (1 << 20)),
    "error of levels": lambda: reply(500, b"[" * 60_000),
}
ROOM = 64 << 20
# Less than the largest of the answers.
MOST = 160 << 20
CHILD = """
import io, sys
from urllib.parse import quote
import msgspec
from batch_router.bounds import Bounds
from batch_router.core import BatchStatus
from batch_router.core.jobs import Job
from batch_router.exceptions import ProviderAPIError
from batch_router.providers import find_provider
from batch_router.providers import UnlabelledClient
from batch_router.settings import Settings
from tests.memory import peak_memory

class Nowhere(io.RawIOBase):
    size = 0
    def write(self, data):
        self.size += len(data)
        return len(data)

def attempt(call):
    try:
        call()
    except ProviderAPIError as error:
        return f"{type(error).__name__} {error}"
    return "fine"

def attack(name):
    url = f"{server}/{quote(name)}"
    client = find_provider(provider)("sk-canary-0123456789", base_url=url).connect(settings)
    into = Nowhere()
    get, fetch = attempt(lambda: client.get(job.id)), attempt(lambda: client.download(job, into))
    return get, attempt(lambda: list(client.list(9))), fetch, into.size, peak_memory()

provider, server, job_id, answers, most, *attacks = sys.argv[1:]
settings = Settings(http_timeout=60, sections=(Bounds(max_answers_bytes=int(most)),))
job = Job(id=job_id, status=BatchStatus.COMPLETED, created_at=0.0, outputs=(answers,))
sys.stdout.buffer.write(msgspec.json.encode({name: attack(name) for name in ("harmless", *attacks)}))
"""


@pytest.fixture(scope="module", params=PROVIDERS)
def outcome(request: pytest.FixtureRequest) -> dict[str, tuple[str, str, str, int, int]]:
    """What each attack comes to: what get, list and download say, bytes that were written, the peak of the memory."""
    provider = request.param
    job_id, _, answers = NAMES[provider]

    def answer(asked: Asked) -> bytes | Iterator[bytes]:
        name = unquote(asked.path.split("/")[1])
        return reply(404) if name == "harmless" else ATTACKS[name]()

    with HostileServer(answer) as server:
        command = [sys.executable, "-c", CHILD, provider, server.url, str(job_id), str(answers), str(MOST), *ATTACKS]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    return dict(json.loads(done.stdout))


def test_no_answer_takes_more_memory_than_its_bound(outcome: dict[str, Any]) -> None:
    """Bombs of gzip and of JSON, lines and errors without an end: the process grows by less than 64 MB."""
    assert set(outcome) == {"harmless", *ATTACKS}
    before = outcome["harmless"][-1]
    assert {name: each[-1] - before for name, each in outcome.items() if each[-1] - before > ROOM} == {}


def test_an_answer_is_read_to_its_bound(outcome: dict[str, Any]) -> None:
    """Of an ordinary answer after decompression, and of all answers to a job, whose bound is a setting."""
    for name in ("gzip", "empty gzip", "endless line"):
        got, listed, fetched, size, _ = outcome[name]
        assert "ProtocolError" in got
        assert "the answer has more than 8,388,608 bytes" in got
        assert listed == got
        assert f"the answer has more than {MOST:,} (BATCH_ROUTER_MAX_ANSWERS_BYTES)" in fetched
        assert size > 150 << 20 or name == "empty gzip"


def test_only_gzip_is_taken_apart(outcome: dict[str, Any]) -> None:
    """It is all that was asked for; what is no gzip, or not whole, is refused, too."""
    said = {"deflate": "'deflate'", "br": "'br'", "zstd": "'zstd'", "twice": "'gzip, gzip'"}
    for name, encoding in said.items():
        got, listed, fetched, size, _ = outcome[name]
        assert f"the answer is compressed with {encoding}; only gzip was asked for" in got
        assert (listed, fetched, size) == (got, got, 0)
    assert "says that it is gzip, and is not" in outcome["no gzip"][0]
    assert "ends before its gzip does" in outcome["half a gzip"][2]


def test_a_bomb_of_json_is_not_taken_apart(outcome: dict[str, Any]) -> None:
    """Neither millions of values nor thousands of levels become values here."""
    assert "the answer has more than 200,000 JSON values" in outcome["values"][0]
    assert outcome["values"][0] == outcome["values"][1]
    assert outcome["levels"][0].startswith("ProtocolError")


def test_an_error_is_read_to_a_bound(outcome: dict[str, Any]) -> None:
    """Its status counts, whatever comes after."""
    for name in ("error", "endless error", "error of levels"):
        for said in outcome[name][:3]:
            assert re.match(
                "ProviderUnavailableError .* answered 500: .{0,1100}$|ProtocolError .* nested too deeply$", said
            )


# --- time -----------------------------------------------------------------------------------------------------------


def dripping(head: bytes, piece: bytes) -> Iterator[bytes]:
    """A piece each twentieth of a second, for ever."""
    yield head
    while True:
        yield piece
        time.sleep(0.05)


SLOW: dict[str, Callable[[], Iterator[bytes]]] = {
    "headers": lambda: dripping(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
    "one header": lambda: dripping(b"HTTP/1.1 200 OK\r\nx: ", b"y"),
    "status line": lambda: dripping(b"HTTP/1.1 200 ", b"OK"),
    "body": lambda: dripping(JSON + b"\r\n[", b"1,"),
    "chunks": lambda: dripping(JSON + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "trailers": lambda: dripping(JSON + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n"),
    "gzip": lambda: dripping(JSON + b"content-encoding: gzip\r\n\r\n" + zeros(16 << 20, 31)[:9], EMPTY_BLOCK),
    "hints": lambda: dripping(b"", b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"),
    "a flood of hints": lambda: endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a flood of headers": lambda: endless(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 1000),
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_answer_holds_a_thread(provider: str) -> None:
    """However an answer is drawn out, a call ends at about the time-out, and may have had an effect."""
    name = ""
    with HostileServer(lambda _: SLOW[name]()) as server:
        client = client_of(provider, server.url, timeout=0.4)
        for name in SLOW:  # noqa: B007 - the server says it
            with pytest.raises(ProviderUnavailableError, match="no answer: Re") as caught:
                client.get(str(NAMES[provider][0]))
            assert caught.value.ambiguous
        for name in ("headers", "body", "gzip"):  # noqa: B007
            with pytest.raises(ProviderUnavailableError, match="no answer: Re"):
                client.download(job_of(provider), io.BytesIO())


def test_a_first_answer_without_an_end_is_not_waited_for() -> None:
    """Anthropic's jobs are known by the first of their answers: where it is too long, a job is none that we know."""
    place = "/v1/messages/batches/msgbatch_1/results"
    job = job_answer("anthropic", results_url=place, request_counts={"succeeded": 1})

    def answer(asked: Asked) -> bytes | Iterator[bytes]:
        is_answers = asked.path.endswith("/results")
        return endless(JSON + b"\r\n", b"x" * (1 << 20)) if is_answers else reply(200, json.dumps(job).encode())

    with HostileServer(answer) as server:
        client = client_of("anthropic", server.url)
        assert cast(UnlabelledClient, client).read_label(client.get("msgbatch_1")) is None


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_no_request_holds_a_thread(provider: str, tmp_path: Path) -> None:
    """A service that takes the rows byte by byte, or not at all, is not waited for."""
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b"x" * (16 << 20) + b"\n")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ended = threading.Event()

        def take_byte_by_byte() -> None:
            with listening.accept()[0] as taken:
                while not ended.wait(0.01):
                    taken.recv(1)

        taker = threading.Thread(target=take_byte_by_byte)
        taker.start()
        try:
            client = client_of(provider, f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=0.4)
            with pytest.raises(ProviderUnavailableError, match="WriteTimeout"):
                call("create" if provider == "anthropic" else "upload", provider, client, FileRows(rows))
        finally:
            ended.set()
            taker.join()
