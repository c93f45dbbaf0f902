"""What the simulator received can be read byte for byte."""

import json
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google import genai

from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Latency
from batch_router.simulator.vllm.run_batch import read_rows

#: Values that a parser changes: a float that is whole, a big integer, a doubled name, spaces, an escaped letter.
BODY = (
    rb'{"model": "m", "max_tokens" :5,"a": 1.0, "b":123456789012345678901234567890, "a":2.50, "c": "\u00e9 '
    + "é".encode()
    + rb'", "messages":[{"role":"user","content":"{\"custom_id\": \"0123456789abcdef-7\"}"}]}'
)
LINE = rb'{"custom_id": "r\u002d1", "method":"POST","url": "/v1/chat/completions", "body": %b}' % BODY


def test_openai_rows_are_kept_as_they_came() -> None:
    """The body of a row is what was uploaded, also after the file is deleted."""
    with Simulator() as simulator:
        client = openai.OpenAI(api_key="k", base_url=f"{simulator.url}/openai/v1", max_retries=0)
        file = client.files.create(file=("rows.jsonl", LINE + b"\r\n\n{nonsense"), purpose="batch")
        job = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        client.files.delete(file.id)
        row, broken = simulator.received()
    assert (row.provider, row.job, row.id, row.line, row.body) == ("openai", job.id, "r-1", LINE, BODY)
    assert (broken.id, broken.line, broken.body) == ("", b"{nonsense", b"")


def test_anthropic_rows_are_kept_as_they_came() -> None:
    """The params of a row are what was posted, also after the batch is deleted."""
    row = b'{"params": %b , "custom_id":"r1"}' % BODY
    with Simulator() as simulator:
        client = anthropic.Anthropic(api_key="k", base_url=f"{simulator.url}/anthropic", max_retries=0)
        content = b'{"requests" : [ %b , {"custom_id":"r2",\n"params":{}}]}' % row
        made = client.post("/v1/messages/batches", content=content, cast_to=httpx2.Response).json()
        client.messages.batches.delete(made["id"])
        received = simulator.received()
    assert [(each.job, each.id, each.body) for each in received] == [
        (made["id"], "r1", BODY),
        (made["id"], "r2", b"{}"),
    ]
    assert received[0].line == row


def test_google_rows_are_kept_as_they_came(tmp_path: Path) -> None:
    """The request of a row is what was uploaded, also after the file is deleted."""
    (tmp_path / "rows.jsonl").write_bytes(b'{"request": %b, "key": "k/1"}\n' % BODY)
    with Simulator() as simulator:
        options: Any = {"base_url": f"{simulator.url}/google"}
        client = genai.Client(api_key="k", vertexai=False, http_options=options)
        file = client.files.upload(file=tmp_path / "rows.jsonl", config={"mime_type": "application/jsonl"})
        job = client.batches.create(model="m", src=str(file.name))
        client.files.delete(name=str(file.name))
        client.close()
        (row,) = simulator.received()
    assert (row.provider, row.job, row.id, row.body) == ("google", job.name, "k/1", BODY)


def test_a_local_engine_notes_its_rows(tmp_path: Path) -> None:
    """Each run appends its input to the file that the scenario names."""
    (tmp_path / "in.jsonl").write_bytes(LINE)
    scenario = Scenario(received=str(tmp_path / "received.jsonl"))
    for _ in range(2):
        read_rows(scenario, str(tmp_path / "in.jsonl"), "out.jsonl")
    assert (tmp_path / "received.jsonl").read_bytes() == (LINE + b"\n") * 2


@pytest.mark.parametrize(
    ("recorded", "served"),
    [
        (
            b'{"response": {"candidates": [{"key": "inner"}], "key": "mine"}, "key": "one"}',
            b'{"response": {"candidates": [{"key": "inner"}], "key": "mine"}, "key": "%b"}',
        ),
        (
            b'{"key" :"on\\"e", "response": {"text": "\\"key\\": \\"x\\""}}',
            b'{"key" :"%b", "response": {"text": "\\"key\\": \\"x\\""}}',
        ),
        (b'{"response": {"key": "x"}}', b'{"response": {"key": "x"}}'),
    ],
)
def test_only_the_id_of_a_recorded_row_is_replaced(tmp_path: Path, recorded: bytes, served: bytes) -> None:
    """A member of the same name inside the answer stays, and so does a line without an id."""
    (tmp_path / "recorded.jsonl").write_bytes(recorded)
    (tmp_path / "rows.jsonl").write_bytes(json.dumps({"key": "t-0", "request": {"contents": "hi"}}).encode())
    with Simulator(Scenario(recorded=str(tmp_path / "recorded.jsonl"))) as simulator:
        options: Any = {"base_url": f"{simulator.url}/google"}
        client = genai.Client(api_key="k", vertexai=False, http_options=options)
        file = client.files.upload(file=tmp_path / "rows.jsonl", config={"mime_type": "application/jsonl"})
        job = client.batches.get(name=str(client.batches.create(model="m", src=str(file.name)).name))
        assert job.dest is not None
        content = client.files.download(file=str(job.dest.file_name))
        client.close()
    assert content == (served % b"t-0" if b"%b" in served else served) + b"\n"


def test_a_later_simulator_of_a_folder_knows_what_the_earlier_one_did(tmp_path: Path) -> None:
    """Its jobs and files are there, a job goes on, and an id is never another job's."""
    made = []
    for number in range(2):
        with Simulator(Scenario(latency=Latency(in_progress=1 - number)), directory=tmp_path) as simulator:
            client = openai.OpenAI(api_key="k", base_url=f"{simulator.url}/openai/v1", max_retries=0)
            file = client.files.create(file=("rows.jsonl", LINE), purpose="batch")
            job = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
            made.append((file.id, job.id))
            first = client.batches.retrieve("batch_000001")
            assert len(simulator.received()) == len(made)
    assert made == [("file-000001", "batch_000001"), ("file-000002", "batch_000002")]
    assert (first.status, first.input_file_id) == ("completed", "file-000001")
