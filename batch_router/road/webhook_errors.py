"""Why a webhook is not taken."""

from ..exceptions import BatchRouterError


class WebhookRefusedError(BatchRouterError):
    """A webhook's receiver refuses it, or may not be sent to.

    Args:
        message: says why.
        status_code: of the answer; 0: there is none.
    """

    type = "webhook_refused"

    def __init__(self, message: str, status_code: int = 0) -> None:
        super().__init__(message)
        self.status_code = status_code


class WebhookUnavailableError(WebhookRefusedError):
    """A webhook's receiver does not take it now.

    Args:
        message: says why.
        status_code: of the answer; 0: there is none.
        retry_after: seconds that the receiver asks to wait.
    """

    type = "webhook_unavailable"
    retryable = True

    def __init__(self, message: str, status_code: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message, status_code)
        self.retry_after = retry_after
