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
from .terminal import tell


@click.group()
def webhook() -> None:
    """Signed messages about batches."""


@webhook.command()
@click.argument("url")
def test(url: str) -> int:
    """Send a signed test event to URL now, and print the answer."""
    from ..road.webhooks import encode, post

    settings, now = Settings.from_env(), time.time()
    check_webhook(url, private=settings.webhook_private)
    read_secrets(settings.webhook_secret)
    try:
        body = encode("webhook.test", now, {"message": "batch-router webhook test"})
        answer = post(settings, url, f"msg_{secrets.token_hex(16)}", body, now)
    except WebhookRefusedError as error:
        tell(str(error))
        return ExitCode.FOUND_SOMETHING
    tell(f"{printable(place_of(url))} answers {answer}: it takes the webhook")
    return ExitCode.OK
