"""Calls of the public surface, right and wrong: what mypy and Pyright must accept, and what they must refuse.

Never run: `test_typing.py` has both of them read it. A wrong call carries the complaint that each must have about it;
one that is missing is an error, too.
"""

from pydantic import BaseModel

from batch_router import (
    AsyncBatchClient,
    BatchClient,
    BatchRouter,
    GenerationConfig,
    OutputSchema,
    Tool,
    UnifiedMessage,
    UnifiedRequest,
)
from batch_router.worker import submit_batch


class Row(BaseModel):
    """A row as a pydantic model."""

    custom_id: str
    prompt: str


ROWS = [{"custom_id": "a", "prompt": "b", "generation_config": {"max_tokens": 5}}]
REQUEST = UnifiedRequest(custom_id="a", messages=[UnifiedMessage(role="user", content="hi")])


def right(client: BatchClient) -> None:
    """Rows in every shape, options as records, dicts and texts."""
    client.submit("openai", requests=ROWS, model="m", timeout=60)
    client.submit("openai", requests=[REQUEST], generation_config=GenerationConfig(max_tokens=5), metadata={"a": "b"})
    client.submit("openai", requests=[Row(custom_id="a", prompt="b")], generation_config={"max_tokens": 5})
    client.submit("groq", requests=ROWS, completion_window="7d", headers={"x-run": "7"}, betas=("some-beta",))
    client.submit(provider="vllm", input="in.jsonl", check_rows=None, unsupported="drop", engine_options={"seed": 4})


def right_schemas(client: BatchClient) -> None:
    """A class wherever a schema may stand; what is parsed is an instance of it."""
    client.submit("openai", requests=ROWS, output_schema=Row)
    client.submit("openai", requests=ROWS, output_schema=list[Row])
    client.submit("openai", requests=ROWS, output_schema={"type": "object"})
    GenerationConfig(output_schema=Row, tools=[Tool(name="f", parameters=Row)])
    client.submit("openai", requests=ROWS, output_schema=OutputSchema(schema=Row, strict=False))
    for result in client.results("b"):
        row: Row = result.parse(Row)
        rows: list[Row] = result.parse(list[Row])
        print(row.prompt, rows[0].prompt)


def right_by_task() -> str:
    """The task takes what the client takes."""
    return submit_batch.delay(provider="openai", requests=ROWS, model="m", idempotency_key="order 7").id


async def right_by_router(router: BatchRouter) -> None:
    """The router takes requests and notes by position."""
    batch_id = await router.send_batch("openai", ROWS, model="m", timeout=5)
    await router.send_batch("openai", [REQUEST], {"a": "b"}, endpoint="embeddings")
    async for result in router.get_results("openai", batch_id):
        print(result.get_content())


def wrong(client: BatchClient) -> None:
    """A name that does not exist, a value of the wrong type, a provider that is missing, a record that is changed."""
    client.submit(provder="openai", requests=ROWS)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.submit("openai", request=ROWS)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.submit(requests=ROWS)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.submit("openai", row_retries="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.submit("openai", unsupported="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.submit("openai", metadata={"a": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    REQUEST.model = "m"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def wrong_by_task() -> None:
    """The same for the task."""
    submit_batch.delay(provder="openai", requests=ROWS)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    submit_batch.delay("openai", timeout="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def wrong_by_client(client: AsyncBatchClient) -> None:
    """The same for the client of asyncio apps."""
    await client.submit("openai", request=ROWS)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def wrong_by_router(router: BatchRouter) -> None:
    """The same for the router, which takes no file."""
    await router.send_batch("openai", ROWS, modell="m")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await router.send_batch("openai", ROWS, input="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await router.send_batch("openai")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
