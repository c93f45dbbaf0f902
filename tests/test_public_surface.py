"""The public surface: changing it means changing the tables here, and saying so in the changelog."""

import inspect
import subprocess
import sys

import batch_router
from batch_router import AsyncBatchClient, BatchClient, BatchRouter, SendOptions, SubmitOptions, providers

#: What `from batch_router import ...` gives.
NAMES = """
AsyncBatchClient BatchClient BatchRouter
MapOptions SendOptions Settings SubmitOptions
render_table

GenerationConfig NamedTool OutputSchema Tool
Content DocumentContent ImageContent TextContent ThinkingContent ToolCallContent ToolResultContent
UnifiedBatchMetadata UnifiedMessage UnifiedRequest

BatchError BatchStatusResponse ErrorReason Failure RequestCounts NoticeStatus ShardStatus
Manifest ManifestCounts ManifestPart ResultCounts
Budget CostSum Estimate Limit ModelEstimate Price ResultError Tokens UnifiedResult Usage
BatchStatus Endpoint ErrorType FinishReason ResultStatus

BatchExpiredError BatchFailedError BatchNotFinishedError BatchNotFoundError BatchRouterError BatchTimeoutError
CorruptItemError CredentialsError FileOperationError InvalidInputError JobInterruptedError NoWorkerError
NotFoundError ProtocolError ProviderAPIError ProviderNotFoundError ProviderUnavailableError RateLimitedError
RequestRefusedError SchemaError
StateError StoreUnavailableError UnbalancedError UndecidedError UnsupportedContentTypeError ValidationError
"""

#: What can be called, and how.
SIGNATURES = """
BatchClient(context=None)
BatchClient.budgets()
BatchClient.cancel(batch_id)
BatchClient.close()
BatchClient.costs(by=None, *, since=None, until=None)
BatchClient.estimate(provider, **options)
BatchClient.ids(prefix='', limit=20)
BatchClient.join(batch_id, table=None, *, partial=False)
BatchClient.limits()
BatchClient.list(limit=20, *, provider=None, status=None, prefix='', since=None, before=None, metadata=None)
BatchClient.listeners(queue)
BatchClient.manifest(batch_id)
BatchClient.map(table, prompt, provider, **options)
BatchClient.pause(scope)
BatchClient.purge(batch_id, *, dry_run=False)
BatchClient.purge_older(days, *, dry_run=False)
BatchClient.quarantined(limit=20)
BatchClient.resolve(item_id, *, attach=None, recreate=False, give_up=False)
BatchClient.result_lines(batch_id, *, partial=False, follow=False)
BatchClient.results(batch_id, *, partial=False, follow=False)
BatchClient.resume(batch_id)
BatchClient.retry(batch_id, *, undecided=False)
BatchClient.set_budget(scope, dollars)
BatchClient.set_limit(provider, model, *, tokens, jobs, credential=None)
BatchClient.status(batch_id)
BatchClient.submit(provider, **options)
BatchClient.unpause(scope)
BatchClient.verify(batch_id)
BatchClient.wait(batch_id, timeout=None, on_status=None)

BatchRouter(settings=None, *, in_memory=False)
BatchRouter.cancel_batch(provider_name, batch_id)
BatchRouter.close()
BatchRouter.get_provider(name)
BatchRouter.get_results(provider_name, batch_id, *, partial=False)
BatchRouter.get_status(provider_name, batch_id)
BatchRouter.list_batches(provider_name=None, limit=20)
BatchRouter.list_providers()
BatchRouter.register_provider(provider)
BatchRouter.send_batch(provider_name, requests, metadata=None, **options)
BatchRouter.wait_for_completion(provider_name, batch_id, poll_interval=0.2, timeout=86400.0, verbose=True)
"""

#: The options of `send_batch`; and those that `submit` and `submit_batch.delay` take besides.
OPTIONS = """
model replace_model endpoint system_prompt generation_config output_schema
unsupported row_retries invalid_retries batch_id idempotency_key credential
timeout keep_remote completion_window headers betas webhook max_cost over_budget engine_options
"""
MORE_OPTIONS = "requests input check_rows metadata"

#: None of these is imported before it is needed: each takes a tenth of a second and more.
HEAVY = {
    "aiohttp",
    "anthropic",
    "celery",
    "click",
    "google.genai",
    "httpx2",
    "kombu",
    "openai",
    "pydantic",
    "redis",
    "rich",
}


def signatures(kind: type) -> list[str]:
    """How a class and its public methods are called, without types: `typed_calls.py` is about those."""
    members = dict(inspect.getmembers(kind, inspect.isfunction))
    public = {name: member for name, member in members.items() if name[0] != "_"}
    calls = {kind.__name__: members["__init__"]} | {f"{kind.__name__}.{name}": public[name] for name in sorted(public)}
    return [f"{name}{_plain(function)}" for name, function in calls.items()]


def _plain(function: object) -> str:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=bare[1:], return_annotation=inspect.Signature.empty))


def test_these_names_are_exported() -> None:
    """Each name of the table, and no other."""
    assert set(batch_router.__all__) == set(NAMES.split())
    assert set(batch_router.__all__) <= vars(batch_router).keys()


def test_each_exported_name_has_a_docstring() -> None:
    """Of its own, not one that was inherited."""
    kinds = [value for name in batch_router.__all__ if isinstance(value := getattr(batch_router, name), type)]
    assert [kind.__name__ for kind in kinds if not vars(kind).get("__doc__")] == []


def test_these_are_the_signatures() -> None:
    """Names, order and defaults of all arguments; the two clients have the same."""
    assert [*signatures(BatchClient), "", *signatures(BatchRouter)] == SIGNATURES.strip().split("\n")
    assert [call.replace("Async", "") for call in signatures(AsyncBatchClient)] == signatures(BatchClient)


def test_these_are_the_options() -> None:
    """Those of a batch, in the order in which they are explained."""
    assert list(SendOptions.__annotations__) == OPTIONS.split()
    assert set(SubmitOptions.__annotations__) == {*OPTIONS.split(), *MORE_OPTIONS.split()}


def test_each_provider_is_exported() -> None:
    """The class of each provider that is installed here can be imported by its name."""
    for name in ("openai", "anthropic", "google", "vllm"):
        assert providers.find_provider(name).__name__ in providers.__all__


def test_importing_the_package_is_cheap() -> None:
    """In a fresh process neither an SDK nor Celery, Redis' client or rich is loaded by `import batch_router`."""
    program = "import sys, batch_router, batch_router.providers; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert HEAVY & set(loaded) == set()
