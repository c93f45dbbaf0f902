"""The whole road in one process, without Celery: send, wait, read results, from asyncio.

router = BatchRouter()
router.register_provider(OpenAIProvider(api_key="..."))
batch_id = await router.send_batch("openai", requests)
await router.wait_for_completion("openai", batch_id)
async for result in router.get_results("openai", batch_id):
    print(result.custom_id, result.get_content())
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, Self, Unpack

from .async_client import AsyncBatchClient
from .core import BatchStatus, BatchStatusResponse, UnifiedRequest, UnifiedResult
from .exceptions import (
    BatchFailedError,
    BatchNotFoundError,
    BatchRouterError,
    BatchTimeoutError,
    ProviderNotFoundError,
    provider_error,
)
from .intake.mistakes import takes_provider
from .intake.options import PydanticModel, SendOptions
from .operations.waiting import FIRST_PAUSE, check_end, pauses
from .providers import Provider
from .road.context import Context
from .security.logs import get_logger
from .settings import Settings
from .state.table import State

if TYPE_CHECKING:
    from .local_driver import LocalDriver

DEFAULT_TIMEOUT = 24 * 3600.0
#: Seconds between the first two looks at the store. The provider is asked less often.
DEFAULT_POLL_INTERVAL = FIRST_PAUSE

log = get_logger(__name__)


class BatchRouter:
    """Batches of one process. The state outlives it: a new router that is given the same batch id carries on.

    Args:
        settings: by default what the environment says.
        in_memory: keep the state in this process only; what has not ended then is lost with it.
    """

    def __init__(self, settings: Settings | None = None, *, in_memory: bool = False) -> None:
        self._settings = settings or Settings.from_env()
        self._in_memory = in_memory
        self._providers: dict[str, Provider] = {}
        self._lock = threading.Lock()
        self._driver: LocalDriver | None = None

    def register_provider(self, provider: Provider) -> None:
        """Make a provider known. A key that it was given stays in this process; the object itself is not changed."""
        if provider.base_url is None:
            provider = copy(provider)
            provider.base_url = self._settings.base_urls.get(provider.name)
        self._providers[provider.name] = provider

    def get_provider(self, name: str) -> Provider:
        """A provider that was registered.

        Raises:
            ProviderNotFoundError: it was not.
        """
        if name not in self._providers:
            raise ProviderNotFoundError(name, tuple(self._providers))
        return self._providers[name]

    def list_providers(self) -> list[str]:
        """The names of those that were registered."""
        return list(self._providers)

    @takes_provider
    async def send_batch(
        self,
        provider_name: str,
        requests: Iterable[UnifiedRequest | Mapping[str, Any] | PydanticModel],
        metadata: Mapping[str, str] | None = None,
        **options: Unpack[SendOptions],
    ) -> str:
        """Send requests; returns once every shard has its job (or an engine here), or has to wait for something.

        Args:
            provider_name: a provider that was registered.
            requests: `UnifiedRequest`s, dicts or pydantic models.
            metadata: your own notes, which `get_status` shows.
            options: `model`, `system_prompt`, `generation_config`, `unsupported`...: see `SendOptions`.

        Returns:
            The batch id.

        Raises:
            ProviderNotFoundError: the provider was not registered.
            ValidationError: says which request is wrong and what to do; nothing was sent.
            ProviderAPIError: the provider refused the batch; `CredentialsError`: the key.
            BatchFailedError: something else ended the batch.
        """
        provider = self.get_provider(provider_name)
        client = await self._client()
        batch_id = await client.submit(provider_name, requests=requests, metadata=metadata or {}, **options)
        async for status in _looks(client, batch_id):
            if status.status is BatchStatus.FAILED:
                raise _explain_failure(status)
            if status.is_complete() or _is_sent(status, remote=provider.remote):
                break
        return batch_id

    async def get_status(self, provider_name: str, batch_id: str) -> BatchStatusResponse:
        """How a batch stands. One that another process has begun is carried on from here.

        Raises:
            ProviderNotFoundError: the provider was not registered.
            BatchNotFoundError: it has no batch of that id.
        """
        self.get_provider(provider_name)
        client = await self._client()
        status = await client.status(batch_id)
        if status.provider != provider_name:
            raise BatchNotFoundError(batch_id)
        return status

    async def wait_for_completion(
        self,
        provider_name: str,
        batch_id: str,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        timeout: float = DEFAULT_TIMEOUT,
        verbose: bool = True,
    ) -> BatchStatusResponse:
        """Wait until a batch has ended, looking ever more rarely.

        Args:
            provider_name: the batch's provider.
            batch_id: which.
            poll_interval: seconds until the second look at the state; how often the provider is asked is the road's.
            timeout: seconds; the batch itself goes on when they are over.
            verbose: whether to log each change (logger `batch_router`, level INFO).

        Raises:
            BatchTimeoutError: it had not ended in time.
            BatchExpiredError: it was cancelled when its own `timeout` option was over.
            BatchFailedError: it ended without a single answer.
        """
        await self.get_status(provider_name, batch_id)
        logged: object = None
        async for status in _looks(await self._client(), batch_id, timeout, poll_interval):
            counts = status.request_counts
            if verbose and (status.status, counts.succeeded) != logged:
                logged = (status.status, counts.succeeded)
                log.info("batch=%s status=%s succeeded=%d/%d", batch_id, status.status, counts.succeeded, counts.total)
            if status.is_complete():
                return check_end(status)
        raise BatchTimeoutError(batch_id, timeout)

    async def get_results(
        self, provider_name: str, batch_id: str, *, partial: bool = False
    ) -> AsyncIterator[UnifiedResult]:
        """The results in the order of the requests, one for each; with `partial`, those that are there by now.

        Raises:
            BatchNotFinishedError: the batch has not ended, and `partial` is not set.
        """
        await self.get_status(provider_name, batch_id)
        async for result in (await self._client()).results(batch_id, partial=partial):
            yield result

    async def cancel_batch(self, provider_name: str, batch_id: str) -> bool:
        """Ask for a batch to end early; finished answers are kept. False if it has ended already."""
        await self.get_status(provider_name, batch_id)
        return await (await self._client()).cancel(batch_id)

    async def list_batches(self, provider_name: str | None = None, limit: int = 20) -> list[BatchStatusResponse]:
        """The newest batches of the store first; only those of one provider if it is named."""
        return list(await (await self._client()).list(limit, provider=provider_name))

    def close(self) -> None:
        """Stop the work here, after the steps that run. What has not ended waits for the next router."""
        with self._lock:
            if self._driver is not None:
                self._driver.stop()
                self._driver = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    async def _client(self) -> AsyncBatchClient:
        return AsyncBatchClient(await asyncio.to_thread(self._start))

    def _start(self) -> Context:
        from .local_driver import LocalDriver  # with Redis' client, which takes as long to import as all else

        with self._lock:
            if self._driver is None:
                self._driver = LocalDriver(self._settings, self._providers, in_memory=self._in_memory)
            return self._driver.context


async def _looks(
    client: AsyncBatchClient, batch_id: str, timeout: float | None = None, first: float = DEFAULT_POLL_INTERVAL
) -> AsyncIterator[BatchStatusResponse]:
    """The batch's status, ever more rarely, until the time is over; at least once."""
    for pause in pauses(timeout, first):
        await asyncio.sleep(pause)
        yield await client.status(batch_id)


def _explain_failure(status: BatchStatusResponse) -> BatchRouterError:
    error = status.error
    if error is None:
        return BatchFailedError(status.batch_id, {})
    providers = provider_error(status.provider, error.type, error.status_code, error.message)
    return providers or BatchFailedError(status.batch_id, error.to_dict())


def _is_sent(status: BatchStatusResponse, *, remote: bool) -> bool:
    """Whether each shard has its job, has ended, or has trouble that may last long.

    A shard whose job runs in this process is sent when it is being created: its job has an id only at its end.
    """
    if status.error is not None:
        return True
    ended = [State(shard.state).is_final for shard in status.shards]
    if all(ended):
        return False  # not cut into shards yet; or all have ended, and so will the batch in a moment
    return all(
        has_ended
        or shard.job_id
        or (not remote and shard.state == State.CREATING)
        or (shard.error is not None and shard.error.retryable)
        for shard, has_ended in zip(status.shards, ended, strict=True)
    )
