"""Batches of LLM requests through one interface: every answer exactly once, at batch price.

from batch_router import BatchClient
from batch_router.worker import submit_batch

job = submit_batch.delay(provider="openai", model="gpt-5-mini", requests=[{"custom_id": "q1", "prompt": "Hello"}])
batches = BatchClient()
batches.wait(job.id)
for result in batches.results(job.id):
    print(result.custom_id, result.get_content())
"""

from .client import BatchClient
from .core import (
    BatchStatus,
    BatchStatusResponse,
    DocumentContent,
    GenerationConfig,
    ImageContent,
    NamedTool,
    OutputSchema,
    RequestCounts,
    ResultStatus,
    TextContent,
    Tool,
    ToolCallContent,
    ToolResultContent,
    UnifiedBatchMetadata,
    UnifiedMessage,
    UnifiedRequest,
    UnifiedResult,
)
from .exceptions import (
    BatchFailedError,
    BatchNotFinishedError,
    BatchNotFoundError,
    BatchRouterError,
    BatchTimeoutError,
    FileOperationError,
    ProviderAPIError,
    ProviderNotFoundError,
    ValidationError,
)
from .router import BatchRouter

__version__ = "0.1.0"

__all__ = [
    "BatchClient",
    "BatchFailedError",
    "BatchNotFinishedError",
    "BatchNotFoundError",
    "BatchRouter",
    "BatchRouterError",
    "BatchStatus",
    "BatchStatusResponse",
    "BatchTimeoutError",
    "DocumentContent",
    "FileOperationError",
    "GenerationConfig",
    "ImageContent",
    "NamedTool",
    "OutputSchema",
    "ProviderAPIError",
    "ProviderNotFoundError",
    "RequestCounts",
    "ResultStatus",
    "TextContent",
    "Tool",
    "ToolCallContent",
    "ToolResultContent",
    "UnifiedBatchMetadata",
    "UnifiedMessage",
    "UnifiedRequest",
    "UnifiedResult",
    "ValidationError",
]
