"""Signatures of webhooks, as Standard Webhooks 1.0.0 has them: HMAC-SHA256 over `id.timestamp.body`.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence

from ..exceptions import ValidationError

_PREFIX = "whsec_"
# Bytes of a secret, by the specification.
_SHORTEST, _LONGEST = 24, 64
_SETTING = "BATCH_ROUTER_WEBHOOK_SECRET"


def read_secrets(setting: str | None) -> Sequence[bytes]:
    """The secrets of a setting: `whsec_` and Base64 each, separated by spaces; a webhook is signed with each of them.

    Raises:
        ValidationError: there is none, or one is no secret; says what to do, and shows nothing of it.
    """
    secrets = [_read(each) for each in (setting or "").split()]
    if not secrets:
        raise ValidationError(f"{_SETTING} is not set: webhooks are signed with it")
    return secrets


def sign(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a webhook.

    Args:
        secrets: as they were read; the receiver knows one of them.
        message_id: always the same for the same message.
        timestamp: of this attempt, seconds since 1970: receivers refuse what is minutes old.
        body: as it is sent.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = (b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def _read(text: str) -> bytes:
    try:
        secret = b64decode(text.removeprefix(_PREFIX), validate=True)
    except ValueError:
        secret = b""
    if not text.startswith(_PREFIX) or not _SHORTEST <= len(secret) <= _LONGEST:
        remedy = 'python -c "import base64, secrets; print(base64.b64encode(secrets.token_bytes(32)).decode())"'
        raise ValidationError(
            f"{_SETTING} has no secret of the form whsec_ and Base64 of {_SHORTEST} to {_LONGEST} bytes; `{remedy}` "
            "makes what follows whsec_"
        ) from None
    return secret
