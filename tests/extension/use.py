"""Sends three rows along the extended road, and prints what came of them: `python use.py HOME`."""

import asyncio
import json
import sys
from pathlib import Path

from batch_router import BatchRouter
from batch_router.providers import find_provider
from batch_router.settings import Settings
from batch_router.state.table import State, remaining_road
from batch_router.worker import app


async def main(home: Path) -> None:
    rows = [{"custom_id": str(number), "prompt": f"say {number}"} for number in range(3)]
    async with BatchRouter(Settings(home=home), in_memory=True) as router:
        router.register_provider(find_provider("echo")())
        batch_id = await router.send_batch("echo", rows, model="any")
        await router.wait_for_completion("echo", batch_id)
        answers = [(each.text, each.loudness) async for each in router.get_results("echo", batch_id)]
    found = {
        "answers": answers,
        "stamps": len(list(home.rglob("*-stamp"))),
        "road": remaining_road(State.DOWNLOADING),
        "task": "batch_router.stamp" in app.tasks,
    }
    print(json.dumps(found))


asyncio.run(main(Path(sys.argv[1])))
