"""The records that travel the road: no I/O, no clock."""

from .config import GenerationConfig, NamedTool, OutputSchema, Tool
from .content import Content, DocumentContent, ImageContent, TextContent, ToolCallContent, ToolResultContent
from .enums import BatchStatus, Endpoint, ErrorType, FinishReason, ResultStatus
from .messages import UnifiedMessage
from .requests import UnifiedBatchMetadata, UnifiedRequest
from .responses import ResultError, UnifiedResult, Usage
from .status import BatchStatusResponse, RequestCounts

__all__ = [
    "BatchStatus",
    "BatchStatusResponse",
    "Content",
    "DocumentContent",
    "Endpoint",
    "ErrorType",
    "FinishReason",
    "GenerationConfig",
    "ImageContent",
    "NamedTool",
    "OutputSchema",
    "RequestCounts",
    "ResultError",
    "ResultStatus",
    "TextContent",
    "Tool",
    "ToolCallContent",
    "ToolResultContent",
    "UnifiedBatchMetadata",
    "UnifiedMessage",
    "UnifiedRequest",
    "UnifiedResult",
    "Usage",
]
