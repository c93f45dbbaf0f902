"""`batch-router webhook test`: whether a receiver takes what our workers send."""

import secrets
import time

import click

from ..road.webhook_errors import WebhookRefusedError
from ..security.printable import printable
from ..security.signatures import read_secrets
from ..security.webhook_urls import check_webhook, place_of
from ..settings import Settings
from .exit_codes import ExitCode
from .options import json_option
from .terminal import tell, tell_json


@click.group()
def webhook() -> None:
    """Signed messages about batches."""


@webhook.command()
@click.argument("url")
@json_option
def test(url: str, as_json: bool) -> int:
    """Send a signed test event to URL now, and print the answer."""
    from ..road.webhooks import encode, post

    settings, now = Settings.from_env(), time.time()
    check_webhook(url, private=settings.webhook_private)
    read_secrets(settings.webhook_secret)
    try:
        body = encode("webhook.test", now, {"message": "batch-router webhook test"})
        answer = post(settings, url, f"msg_{secrets.token_hex(16)}", body, now)
    except WebhookRefusedError as error:
        _tell(as_json, taken=False, words=str(error))
        return ExitCode.FOUND_SOMETHING
    _tell(as_json, taken=True, words=f"{printable(place_of(url))} answers {answer}: it takes the webhook")
    return ExitCode.OK


def _tell(as_json: bool, *, taken: bool, words: str) -> None:
    if as_json:
        tell_json({"version": 1, "taken": taken, "message": words})
    else:
        tell(words)
