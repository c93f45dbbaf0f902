"""An asyncio program of the project: it submits in threads and, which blocks it for a moment, in a coroutine."""

import asyncio
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
django.setup()

from shop.views import submit  # noqa: E402 - Django first


async def main() -> None:
    """Submit five batches and print their ids."""
    here = submit("a coroutine")
    print(here, *await asyncio.gather(*(asyncio.to_thread(submit, f"thread {number}") for number in range(4))))


asyncio.run(main())
