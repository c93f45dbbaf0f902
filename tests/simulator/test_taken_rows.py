"""Rows that people sent to the real services, and rows that no service takes."""

import json
from pathlib import Path
from typing import Any

import pytest

from batch_router.simulator import Scenario
from tests.simulator.services import CHAT, SERVICES, AnthropicService, GoogleService, OpenAIService, Service, job_id

NONSENSE: list[dict[str, Any]] = [
    {"messages": ["hi"]},
    {"messages": [{"role": "user", "content": [{"text": 7}, 8]}]},
    {"messages": "hi", "n": "many"},
    {"messages": [{"role": "user"}], "tools": "all", "tool_choice": "required"},
    {"messages": [{"role": "user", "content": "hi"}], "response_format": "json", "output_config": 7},
    {"messages": [{"role": "user", "content": "hi"}], "response_format": {"type": "json_schema", "json_schema": 1}},
    {"input": {"a": 1}, "dimensions": "8"},
    {"contents": 7, "generationConfig": {"responseMimeType": "application/json", "responseSchema": 7}},
    {"contents": [7], "generationConfig": 7, "toolConfig": 7, "tools": [7]},
]


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line.strip()]


def to_openai(service: Service, url: str, bodies: list[Any]) -> Any:
    """The batch of rows with these bodies, as it ended."""
    rows = [
        {"custom_id": str(number), "method": "POST", "url": url, "body": body} for number, body in enumerate(bodies)
    ]
    content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    file = service.http.post("/files", data={"purpose": "batch"}, files={"file": ("rows.jsonl", content)}).json()
    spec = {"input_file_id": file["id"], "endpoint": url, "completion_window": "24h"}
    return service.show(service.http.post("/batches", json=spec).json()["id"])


def counts_at(name: str, bodies: list[Any]) -> tuple[int, int]:
    """How many of a provider's rows with these bodies were answered and refused."""
    service = SERVICES[name](Scenario())
    try:
        if isinstance(service, OpenAIService):
            counts = to_openai(service, CHAT, bodies)["request_counts"]
            return counts["completed"], counts["failed"]
        if isinstance(service, AnthropicService):
            rows = [{"custom_id": f"r{number}", "params": body} for number, body in enumerate(bodies)]
            made = service.http.post(service.jobs, json={"requests": rows}).json()
            counts = service.show(made["id"])["request_counts"]
            return counts["succeeded"], counts["errored"]
        assert isinstance(service, GoogleService)
        inline = {"requests": {"requests": [{"request": body} for body in bodies]}}
        made = service.http.post(
            "/v1beta/models/m:batchGenerateContent", json={"batch": {"inputConfig": inline}}
        ).json()
        stats = service.show(job_id(made))["metadata"]["batchStats"]
        return int(stats.get("successfulRequestCount", 0)), int(stats.get("failedRequestCount", 0))
    finally:
        service.close()


@pytest.mark.parametrize("name", SERVICES)
def test_no_row_breaks_a_job(name: str) -> None:
    """Rows whose types are not the API's are answered or refused, each for itself, and the job ends."""
    bodies = [body for body in NONSENSE if name != "google" or "contents" in body]
    assert sum(counts_at(name, bodies)) == len(bodies)


def test_what_people_send_is_taken(shared: Path) -> None:
    """Each row of `cases/rows` that goes to OpenAI as it stands, and each that was recorded there, is answered."""
    index = [line.split("\t") for line in (shared / "cases/INDEX.tsv").read_text().split("\n")[1:] if line]
    verbatim = [name for name, to, what in index if "openai" in to and what.startswith("sent verbatim")]
    recorded = [*(shared / "golden/openai").glob("*input*.jsonl"), *(shared / "golden/openai").glob("*tasks*.jsonl")]
    assert verbatim
    assert recorded
    service = OpenAIService(Scenario())
    try:
        for path in [*(shared / "cases" / name for name in verbatim), *recorded]:
            by_url: dict[str, list[Any]] = {}
            for row in rows_in(path):
                by_url.setdefault(row["url"], []).append(row["body"])
            for url, bodies in by_url.items():
                counts = to_openai(service, url, bodies)["request_counts"]
                assert counts == {"total": len(bodies), "completed": len(bodies), "failed": 0}, path.name
    finally:
        service.close()


def test_what_people_send_to_gemini_and_anthropic_is_taken(shared: Path) -> None:
    """Native rows of both are answered."""
    google = rows_in(shared / "golden/gemini/7shi__input_basic.jsonl") + rows_in(
        shared / "cases/rows/17b-native-gemini.jsonl"
    )
    assert counts_at("google", [row["request"] for row in google]) == (len(google), 0)
    anthropic = rows_in(shared / "cases/rows/17-native-anthropic.jsonl")
    assert counts_at("anthropic", [row["params"] for row in anthropic]) == (len(anthropic), 0)
