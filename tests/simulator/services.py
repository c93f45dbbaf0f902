"""The simulated providers over plain HTTP: what the SDKs do not show of a reply is seen here."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2

from batch_router.simulator import Scenario, Simulator

CHAT = "/v1/chat/completions"


class Service:
    """A provider: jobs of `rows` rows, as it shows them.

    Attributes:
        prefix: of all paths.
        jobs: the path of the list of jobs.
        page: the member of the list that has the jobs.
    """

    prefix: str
    jobs: str
    page: str

    def __init__(self, scenario: Scenario) -> None:
        self.simulator = Simulator(scenario).__enter__()
        self.http = httpx2.Client(base_url=self.simulator.url + self.prefix, follow_redirects=True, timeout=10)
        self.use_key("k")

    def use_key(self, key: str) -> None:
        """From here on, call with this key."""
        self.http.headers |= {
            "authorization": f"Bearer {key}",
            "x-api-key": key,
            "x-goog-api-key": key,
            "anthropic-version": "2023-06-01",
        }

    def close(self) -> None:
        self.http.close()
        self.simulator.__exit__()

    def create(self, prompts: list[str]) -> httpx2.Response:
        raise NotImplementedError

    def path(self, job_id: str) -> str:
        """The path of a job."""
        return f"{self.jobs}/{job_id}"

    def cancel(self, job_id: str) -> httpx2.Response:
        return self.http.post(f"{self.path(job_id)}/cancel")

    def delete(self, job_id: str) -> httpx2.Response:
        return self.http.delete(self.path(job_id))

    def show(self, job_id: str) -> Any:
        answer = self.http.get(self.path(job_id))
        return answer.json() if answer.status_code == 200 else answer.status_code

    def listed(self) -> list[Any]:
        found: list[Any] = self.http.get(self.jobs).json().get(self.page, [])
        return found

    def content(self, job: Any) -> bytes | int:
        """The answers of a job that was shown, or the status of an error."""
        raise NotImplementedError


class OpenAIService(Service):
    prefix, jobs, page = "/openai/v1", "/batches", "data"

    def create(self, prompts: list[str]) -> httpx2.Response:
        rows = [
            {
                "custom_id": f"r-{number}",
                "method": "POST",
                "url": CHAT,
                "body": {"model": "m", "messages": [_turn(text)]},
            }
            for number, text in enumerate(prompts)
        ]
        file = self.http.post("/files", data={"purpose": "batch"}, files={"file": ("rows.jsonl", _lines(rows))}).json()
        spec = {
            "input_file_id": file["id"],
            "endpoint": CHAT,
            "completion_window": "24h",
            "metadata": {"label": "mine"},
        }
        return self.http.post("/batches", json=spec)

    def content(self, job: Any, file: str = "output") -> bytes | int:
        answer = self.http.get(f"/files/{job[f'{file}_file_id']}/content")
        return answer.content if answer.status_code == 200 else answer.status_code


class GoogleService(Service):
    prefix, jobs, page = "/google", "/v1beta/batches", "operations"

    def create(self, prompts: list[str]) -> httpx2.Response:
        rows = [
            {"key": f"r-{number}", "request": {"contents": [{"parts": [{"text": text}]}]}}
            for number, text in enumerate(prompts)
        ]
        content = _lines(rows)
        start = {"x-goog-upload-command": "start", "x-goog-upload-header-content-length": str(len(content))}
        url = self.http.post("/upload/v1beta/files", headers=start, json={}).headers["x-goog-upload-url"]
        end = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
        file = self.http.post(url, headers=end, content=content).json()["file"]
        batch = {"displayName": "mine", "inputConfig": {"fileName": file["name"]}}
        return self.http.post("/v1beta/models/m:batchGenerateContent", json={"batch": batch})

    def path(self, job_id: str) -> str:
        return f"/v1beta/{job_id}"

    def cancel(self, job_id: str) -> httpx2.Response:
        return self.http.post(f"{self.path(job_id)}:cancel")

    def content(self, job: Any) -> bytes | int:
        answer = self.http.get(f"/v1beta/{job['response']['responsesFile']}:download?alt=media")
        return answer.content if answer.status_code == 200 else answer.status_code


class AnthropicService(Service):
    prefix, jobs, page = "/anthropic", "/v1/messages/batches", "data"

    def create(self, prompts: list[str]) -> httpx2.Response:
        requests = [
            {"custom_id": f"r-{number}", "params": {"model": "m", "max_tokens": 5, "messages": [_turn(text)]}}
            for number, text in enumerate(prompts)
        ]
        return self.http.post(self.jobs, json={"requests": requests})

    def content(self, job: Any) -> bytes | int:
        answer = self.http.get(f"{self.path(job['id'])}/results")
        return answer.content if answer.status_code == 200 else answer.status_code


SERVICES: dict[str, type[Service]] = {
    "openai": OpenAIService,
    "anthropic": AnthropicService,
    "google": GoogleService,
}


def job_id(job: Any) -> str:
    """The id of a job that was shown."""
    return str(job.get("id") or job["name"])


def rows_of(content: bytes | int) -> Iterator[Any]:
    assert isinstance(content, bytes)
    yield from (json.loads(line) for line in content.split(b"\n") if line)


def with_null(node: Any) -> Any:
    """OpenAPI's `nullable` as JSON Schema has it."""
    if isinstance(node, list):
        return [with_null(each) for each in node]
    if not isinstance(node, dict):
        return node
    changed = {key: with_null(value) for key, value in node.items()}
    return {"anyOf": [changed, {"type": "null"}]} if changed.pop("nullable", False) else changed


def _turn(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
