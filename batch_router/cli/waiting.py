"""A client for `submit`: at once where workers listen, a little later where the stack of this home starts."""

import time

from ..client import BatchClient
from ..exceptions import NoWorkerError, StoreUnavailableError
from ..settings import Settings
from .owner import is_owned
from .terminal import say

# A stack is ready after some five seconds.
_WITHIN = 30.0
_LOOK_EVERY = 0.2


def client_with_workers(queue: str, settings: Settings) -> BatchClient:
    """A client, once workers listen on a queue.

    Raises:
        NoWorkerError: none does.
        StoreUnavailableError: there is no Redis.
    """
    began, has_said = time.monotonic(), False
    while True:
        try:
            return _client(queue)
        except (NoWorkerError, StoreUnavailableError):
            if not is_owned(settings.home) or time.monotonic() - began > _WITHIN:
                raise
        if not has_said:
            say(f"waiting for a worker on the queue {queue!r}: `batch-router up` is starting")
            has_said = True
        time.sleep(_LOOK_EVERY)


def _client(queue: str) -> BatchClient:
    client = BatchClient()
    if client.listeners(queue):
        return client
    client.close()
    raise NoWorkerError(f"no worker listens on the queue {queue!r}: start one (`batch-router up`); nothing was sent")
