"""One batch from one process, without workers: `OPENAI_API_KEY=... python examples/basic.py`."""

import asyncio
import os

from batch_router import BatchRouter, GenerationConfig, UnifiedMessage, UnifiedRequest
from batch_router.providers import OpenAIProvider


async def main() -> None:
    """Send two questions, wait, print the answers."""
    router = BatchRouter()
    router.register_provider(OpenAIProvider(api_key=os.environ.get("OPENAI_API_KEY")))

    requests = [
        UnifiedRequest(
            custom_id="req-1",
            model="gpt-4o",
            messages=[UnifiedMessage.from_text("user", "What is 2+2?")],
            system_prompt="You are a helpful math tutor.",
            generation_config=GenerationConfig(temperature=0.7, max_tokens=100),
        ),
        UnifiedRequest(
            custom_id="req-2",
            model="gpt-4o",
            messages=[UnifiedMessage.from_text("user", "What is the capital of France?")],
            system_prompt="You are a geography expert.",
            generation_config=GenerationConfig(temperature=0.7, max_tokens=100),
        ),
    ]

    batch_id = await router.send_batch("openai", requests)
    print(f"Batch sent: {batch_id}")

    status = await router.wait_for_completion("openai", batch_id)
    print(f"Batch completed: {status.status}")

    async for result in router.get_results("openai", batch_id):
        if result.is_successful():
            print(f"{result.custom_id}: {result.get_content()}")
        else:
            print(f"{result.custom_id}: ERROR - {result.error}")


if __name__ == "__main__":
    asyncio.run(main())
