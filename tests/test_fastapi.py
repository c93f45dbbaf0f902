"""What the library gives can be returned from an endpoint of FastAPI, and be a field of a pydantic model."""

import json
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from pydantic import ValidationError as PydanticError

from batch_router import BatchClient, BatchStatusResponse, UnifiedResult
from batch_router.core import Failure, Manifest, ResultError, ShardStatus, Usage
from batch_router.road.context import Context

RESULT = {"custom_id": "a", "status": "succeeded", "text": "4", "response": {"id": "r"}, "usage": {"input_tokens": 3}}


class Report(BaseModel):
    """A model of the app around a record of ours."""

    result: UnifiedResult


@pytest.fixture
def web(context: Context) -> TestClient:
    """An app with two endpoints that return the status of a batch."""
    client = BatchClient(context)
    app = FastAPI()

    @app.get("/plain/{batch_id}")
    def plain(batch_id: str):  # type: ignore[no-untyped-def]
        return client.status(batch_id)

    @app.get("/typed/{batch_id}")
    def typed(batch_id: str) -> BatchStatusResponse:
        return client.status(batch_id)

    @app.post("/report")
    def report(given: Report) -> UnifiedResult:
        return given.result

    return TestClient(app)


@pytest.mark.parametrize("endpoint", ["plain", "typed"])
def test_a_status_is_an_answer(context: Context, web: TestClient, endpoint: str) -> None:
    """With and without an annotation the body is `to_dict()` of the status."""
    client = BatchClient(context)
    batch_id = client.submit("openai", requests=[{"custom_id": "a", "prompt": "b"}], model="m", metadata={"for": "ada"})
    answer = web.get(f"/{endpoint}/{batch_id}")
    assert (answer.status_code, answer.json()) == (200, json.loads(json.dumps(client.status(batch_id).to_dict())))
    assert (answer.json()["version"], answer.json()["metadata"]) == (1, {"for": "ada"})


def test_a_result_is_a_field(web: TestClient) -> None:
    """A record comes in and goes out as part of a pydantic model; what does not fit is refused by field."""
    answer = web.post("/report", json={"result": RESULT})
    assert (answer.status_code, answer.json()["usage"]["input_tokens"]) == (200, 3)
    assert Report(result=Report(result=RESULT).result).model_dump()["result"]["text"] == "4"  # type: ignore[arg-type]
    with pytest.raises(PydanticError, match=r"usage.input_tokens: Expected `int \| null`, got `str`"):
        Report(result=RESULT | {"usage": {"input_tokens": "3"}})  # type: ignore[arg-type]


def test_the_description_of_an_app_has_our_fields(web: TestClient) -> None:
    """`/openapi.json` shows the fields of a status, those of its shards included."""
    operation = web.get("/openapi.json").json()["paths"]["/typed/{batch_id}"]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert "rows_per_s" in schema["properties"]["shards"]["items"]["properties"]


@pytest.mark.parametrize(
    "kind", [BatchStatusResponse, Failure, Manifest, ResultError, ShardStatus, UnifiedResult, Usage]
)
def test_records_that_users_get_are_plain_data_too(kind: Callable[..., object]) -> None:
    """Each has `to_dict()`, and is a mapping as far as `dict()` asks."""
    assert {"to_dict", "keys", "__getitem__"} <= set(dir(kind))
