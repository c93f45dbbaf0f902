"""The records that travel the road: no I/O, no clock."""

from .config import GenerationConfig
from .content import Content, DocumentContent, ImageContent, TextContent
from .enums import BatchStatus, ErrorType, FinishReason, ResultStatus
from .messages import UnifiedMessage
from .requests import UnifiedBatchMetadata, UnifiedRequest
from .responses import BatchStatusResponse, RequestCounts, ResultError, UnifiedResult, Usage

__all__ = [
    "BatchStatus",
    "BatchStatusResponse",
    "Content",
    "DocumentContent",
    "ErrorType",
    "FinishReason",
    "GenerationConfig",
    "ImageContent",
    "RequestCounts",
    "ResultError",
    "ResultStatus",
    "TextContent",
    "UnifiedBatchMetadata",
    "UnifiedMessage",
    "UnifiedRequest",
    "UnifiedResult",
    "Usage",
]
