"""A view that runs a task of the project, one that submits a batch, and one that says whose is what."""

from celery import current_app
from django.http import HttpRequest, JsonResponse

import celeryconfig
import workers

from .tasks import note, submit_batch


def submit(what: str) -> str:
    """Submit a batch of two rows."""
    rows = [{"custom_id": f"{what} {number}", "prompt": f"Describe {what}."} for number in range(2)]
    return submit_batch.delay("openai", model="gpt-5-mini", requests=rows, metadata={"what": what}).id


def buy(request: HttpRequest) -> JsonResponse:
    """Run a task of the project, now or later."""
    note.apply_async([request.GET["what"]], countdown=float(request.GET.get("countdown", 0)))
    return JsonResponse({})


def describe(request: HttpRequest) -> JsonResponse:
    """Submit a batch."""
    return JsonResponse({"batch": submit(request.GET["what"])})


def whose(request: HttpRequest) -> JsonResponse:
    """What this process takes for its own."""
    guest = submit_batch.app
    return JsonResponse(
        {
            "current app": current_app.main,
            "tasks": sorted(name for name in current_app.tasks if not name.startswith("celery.")),
            "modules": [workers.OWNER, celeryconfig.OWNER],
            "guest's tasks": [name for name in guest.tasks if not name.startswith(("celery.", "batch_router."))],
            "guest's broker": guest.connection().as_uri(),
            "guest's results": type(guest.backend).__name__,
        }
    )
