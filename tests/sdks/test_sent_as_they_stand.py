"""Rows whose bodies the official SDKs wrote, through the whole road: the service gets the SDK's own bytes.

The SDKs know the parameters of their services better than any list of ours; what they would send in a single call is
what a batch has to send.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import anthropic
import msgspec
import openai
import pytest
from google import genai
from google.genai import types

from batch_router import BatchRouter, UnifiedResult
from batch_router.providers import find_provider
from batch_router.settings import Settings
from batch_router.simulator import Simulator

from .capture import Sent, sent_by_anthropic, sent_by_google, sent_by_openai

WEATHER: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

OPENAI: dict[str, Callable[[openai.OpenAI], object]] = {
    "chat": lambda sdk: sdk.chat.completions.create(
        model="gpt-5-mini",
        messages=[
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}], "name": "ops"},
            {
                "role": "user",
                "content": [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}],
            },
            {"role": "assistant", "content": "", "refusal": "no"},
            {"role": "system", "content": "Now be long."},
            {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
        ],
        reasoning_effort="xhigh",
        temperature=1.0,
        logit_bias={"50256": -100},
        prediction={"type": "content", "content": "x"},
        tools=[{"type": "custom", "custom": {"name": "code"}}],
        tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
        web_search_options={"search_context_size": "low"},
        verbosity="low",
        metadata={"a": "b"},
        stop=[],
    ),
    "responses": lambda sdk: sdk.responses.create(
        model="gpt-5-mini",
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "look"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xx"},
            {"type": "function_call", "call_id": "c1", "name": "shot", "arguments": "{not json"},
            {
                "type": "function_call_output",
                "call_id": "c1",
                "output": [{"type": "input_image", "image_url": "data:"}],
            },
            {"type": "item_reference", "id": "msg_1"},
        ],
        tools=[{"type": "web_search"}, {"type": "function", "name": "w", "parameters": WEATHER, "strict": None}],
        reasoning={"effort": "xhigh", "summary": "auto"},
        include=["reasoning.encrypted_content"],
        truncation="auto",
    ),
    "stored prompt": lambda sdk: sdk.responses.create(prompt={"id": "pmpt_1", "variables": {"city": "Bern"}}),
    "embeddings": lambda sdk: sdk.embeddings.create(
        model="text-embedding-3-small", input=["a", "b"], dimensions=8, encoding_format="float"
    ),
    "moderations": lambda sdk: sdk.moderations.create(input="x"),
    "completions": lambda sdk: sdk.completions.create(model="gpt-3.5-turbo-instruct", prompt=["a", "b"], logprobs=2),
    "images": lambda sdk: sdk.images.generate(prompt="a cat", model="gpt-image-1", size="1024x1024"),
}
ANTHROPIC: dict[str, Callable[[anthropic.Anthropic], object]] = {
    "messages": lambda sdk: sdk.messages.create(
        model="claude-haiku-4-5",
        max_tokens=2000,
        system=[{"type": "text", "text": "LONG", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "ZGF0YQ=="},
                    {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {"city": "Bern"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": [{"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}],
                    }
                ],
            },
        ],
        thinking={"type": "enabled", "budget_tokens": 1024},
        tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
        metadata={"user_id": "u"},
    ),
}
GOOGLE: dict[str, Callable[[genai.Client], object]] = {
    "generate": lambda sdk: sdk.models.generate_content(
        model="gemini-2.5-flash",
        contents=[
            types.Content(role="user", parts=[types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")]),
            types.Content(role="model", parts=[types.Part(text="ok", thought_signature=b"sig")]),
            types.Content(role="user", parts=[types.Part(text="go on")]),
        ],
        config=types.GenerateContentConfig(
            system_instruction="Be brief.",
            temperature=1.0,
            safety_settings=[
                types.SafetySetting(
                    category=types.HarmCategory.HARM_CATEGORY_HARASSMENT, threshold=types.HarmBlockThreshold.BLOCK_NONE
                )
            ],
            tools=[types.Tool(google_search=types.GoogleSearch())],
            thinking_config=types.ThinkingConfig(thinking_budget=0),
            response_modalities=["TEXT"],
        ),
    ),
}


def _openai_line(sent: Sent) -> bytes:
    return b'{"custom_id": "mine", "method": "POST", "url": "%b", "body": %b}' % (sent.path.encode(), sent.body)


def _anthropic_line(sent: Sent) -> bytes:
    return b'{"custom_id": "mine", "params": %b}' % sent.body


def _gemini_line(sent: Sent) -> bytes:
    return b'{"key": "mine", "request": %b}' % sent.body


CALLS: list[tuple[str, str, Callable[[], Sent], Callable[[Sent], bytes]]] = [
    *(("openai", name, lambda call=call: sent_by_openai(call), _openai_line) for name, call in OPENAI.items()),
    *(
        ("anthropic", name, lambda call=call: sent_by_anthropic(call), _anthropic_line)
        for name, call in ANTHROPIC.items()
    ),
    *(("google", name, lambda call=call: sent_by_google(call), _gemini_line) for name, call in GOOGLE.items()),
]


@pytest.mark.parametrize(("provider", "name", "call", "line_of"), CALLS, ids=[f"{p}-{name}" for p, name, *_ in CALLS])
def test_the_service_gets_what_the_sdk_wrote(
    provider: str, name: str, call: Callable[[], Sent], line_of: Callable[[Sent], bytes], tmp_path: Path
) -> None:
    """Byte for byte, whatever the parameters; and the row has its answer."""
    sent = call()
    with Simulator() as simulator:
        (result,) = asyncio.run(_send(provider, line_of(sent), simulator.url, tmp_path))
        (received,) = simulator.received()
    assert received.body == sent.body
    assert (result.custom_id, result.status) == ("mine", "succeeded"), result.error


async def _send(provider: str, line: bytes, url: str, home: Path) -> list[UnifiedResult]:
    kind = find_provider(provider)
    base = f"{url}/openai/v1" if provider == "openai" else f"{url}/{provider}"
    async with BatchRouter(Settings(home=home), in_memory=True) as router:
        router.register_provider(kind(api_key="k", base_url=base))
        rows = cast(Any, [msgspec.Raw(line)])  # a line of a file, as it is
        batch_id = await router.send_batch(provider, rows, model=None if provider == "openai" else "gemini-2.5-flash")
        await router.wait_for_completion(provider, batch_id, poll_interval=0.05)
        return [result async for result in router.get_results(provider, batch_id)]
