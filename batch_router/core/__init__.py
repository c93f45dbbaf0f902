"""The records that travel the road: no I/O, no clock."""

from .config import GenerationConfig, NamedTool, OutputSchema, Tool
from .content import (
    Content,
    DocumentContent,
    ImageContent,
    TextContent,
    ThinkingContent,
    ToolCallContent,
    ToolResultContent,
)
from .costs import CostSum, Estimate, ModelEstimate
from .enums import BatchStatus, Endpoint, ErrorType, FinishReason, ResultStatus
from .jobs import Failure
from .manifest import Manifest, ManifestCounts, ManifestPart, ResultCounts
from .messages import UnifiedMessage
from .native import NativeRow
from .prices import HourPrice, Price, Prices
from .reasons import ErrorReason, ReasonCounter
from .requests import UnifiedBatchMetadata, UnifiedRequest
from .responses import ResultError, UnifiedResult, Usage
from .status import BatchError, BatchStatusResponse, NoticeStatus, RequestCounts, ShardStatus
from .tokens import TokenCounter, Tokens, add_up

__all__ = [
    "BatchError",
    "BatchStatus",
    "BatchStatusResponse",
    "Content",
    "CostSum",
    "DocumentContent",
    "Endpoint",
    "ErrorReason",
    "ErrorType",
    "Estimate",
    "Failure",
    "FinishReason",
    "GenerationConfig",
    "HourPrice",
    "ImageContent",
    "Manifest",
    "ManifestCounts",
    "ManifestPart",
    "ModelEstimate",
    "NamedTool",
    "NativeRow",
    "NoticeStatus",
    "OutputSchema",
    "Price",
    "Prices",
    "ReasonCounter",
    "RequestCounts",
    "ResultCounts",
    "ResultError",
    "ResultStatus",
    "ShardStatus",
    "TextContent",
    "ThinkingContent",
    "TokenCounter",
    "Tokens",
    "Tool",
    "ToolCallContent",
    "ToolResultContent",
    "UnifiedBatchMetadata",
    "UnifiedMessage",
    "UnifiedRequest",
    "UnifiedResult",
    "Usage",
    "add_up",
]
