"""What a client neither sends, follows nor takes."""

import httpx2


class RefusedError(httpx2.TransportError):
    """An answer was refused; says why. The SDKs pass it on, or make it the cause of an error of their own."""


class TooLargeError(RefusedError):
    """What is read piece by piece is larger than its bound."""


class NotSentError(RefusedError):
    """A request was refused, so the service cannot have acted on it."""
