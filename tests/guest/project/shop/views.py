"""A view that runs a task of the project, those about a batch and its end, and one that says whose is what."""

import json

from celery import current_app
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

import celeryconfig
import workers

from .signed import is_signed
from .tasks import note, notes, submit_batch, told


def asked(what: str) -> dict:
    """A batch of two rows."""
    rows = [{"custom_id": f"{what} {number}", "prompt": f"Describe {what}."} for number in range(2)]
    return {"model": "gpt-5-mini", "requests": rows, "metadata": {"what": what}}


def submit(what: str) -> str:
    """Submit a batch."""
    return submit_batch.delay("openai", **asked(what)).id


def buy(request: HttpRequest) -> JsonResponse:
    """Run a task of the project, now or later."""
    note.apply_async([request.GET["what"]], countdown=float(request.GET.get("countdown", 0)))
    return JsonResponse({})


def describe(request: HttpRequest) -> JsonResponse:
    """Submit a batch."""
    return JsonResponse({"batch": submit(request.GET["what"])})


def order(request: HttpRequest) -> JsonResponse:
    """Submit a batch; its end runs a task of the project, and comes as a webhook."""
    what = request.GET["what"]
    batch = asked(what) | {"webhook": request.build_absolute_uri("/hook")}
    return JsonResponse({"batch": submit_batch.apply_async(("openai",), batch, link=told.s(what)).id})


@csrf_exempt
def hook(request: HttpRequest) -> HttpResponse:
    """Note a webhook, if it is one."""
    if not is_signed(request.body, request.headers):
        return HttpResponse(status=400)
    event = json.loads(request.body)
    line = f"hook:{event['data']['metadata']['what']} {event['type']} {request.headers['webhook-id']}"
    notes().rpush("shop:ran", line)
    return HttpResponse(status=204)


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
