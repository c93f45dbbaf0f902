"""Images and videos: one pixel, and a video that is ready."""

from typing import Any

from ..answers import count_tokens, name_for, prompt_of
from ..scenario import Scenario

_DAY = 24 * 3600
_IMAGE_TOKENS = 272
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # a PNG


def images(body: dict[str, Any], now: int) -> dict[str, Any]:
    """Images in base64, which is the only form of the GPT image models; as URLs if the body asks for them."""
    count = body.get("n") or 1
    image = {"url": "https://images.example/1.png"} if body.get("response_format") == "url" else {"b64_json": _PIXEL}
    given = count_tokens(prompt_of(body))
    return {
        "created": now,
        "background": "opaque",
        "data": [image] * count,
        "output_format": body.get("output_format") or "png",
        "quality": body.get("quality") or "medium",
        "size": body.get("size") or "1024x1024",
        "usage": {
            "input_tokens": given,
            "input_tokens_details": {"text_tokens": given, "image_tokens": 0},
            "output_tokens": _IMAGE_TOKENS * count,
            "total_tokens": given + _IMAGE_TOKENS * count,
        },
    }


def video(scenario: Scenario, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """A video that is rendered; its file is downloaded by its id, for a day."""
    return {
        "id": f"video_{name_for(scenario.seed, row_id)}",
        "object": "video",
        "created_at": now,
        "completed_at": now,
        "expires_at": now + _DAY,
        "error": None,
        "model": body.get("model") or "sora-2",
        "progress": 100,
        "prompt": body.get("prompt"),
        "remixed_from_video_id": None,
        "seconds": str(body.get("seconds") or 4),
        "size": body.get("size") or "720x1280",
        "status": "completed",
    }
