"""A question about a picture: `ANTHROPIC_API_KEY=... python examples/multimodal.py image.jpg`."""

import asyncio
import base64
import os
import sys
from pathlib import Path

from batch_router import BatchRouter, GenerationConfig, ImageContent, TextContent, UnifiedMessage, UnifiedRequest
from batch_router.providers import AnthropicProvider


async def main(image: Path) -> None:
    """Send the picture with a question, wait, print the answer."""
    router = BatchRouter()
    router.register_provider(AnthropicProvider(api_key=os.environ.get("ANTHROPIC_API_KEY")))

    request = UnifiedRequest(
        custom_id="vision-1",
        model="claude-sonnet-4-5",
        messages=[
            UnifiedMessage(
                role="user",
                content=[
                    ImageContent(
                        source_type="base64",
                        media_type="image/jpeg",
                        data=base64.b64encode(image.read_bytes()).decode(),
                    ),
                    TextContent(text="What's in this image?"),
                ],
            )
        ],
        generation_config=GenerationConfig(max_tokens=500),
    )

    batch_id = await router.send_batch("anthropic", [request])
    await router.wait_for_completion("anthropic", batch_id)
    async for result in router.get_results("anthropic", batch_id):
        print(result.get_content())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
