"""What goes wrong with an engine of our own, and nowhere else.

RequestRefusedError
├── EngineMissingError       vLLM is not installed where the GPU worker runs
├── EngineOptionError        the engine does not take an option, or not this value of it
└── ModelNotFoundError       the engine does not find the model
ProviderUnavailableError
├── OutOfMemoryError         the model does not fit beside what is loaded  (retried)
└── NoSpaceError             the disk is full                              (retried)
"""

from ...exceptions import ProviderUnavailableError, RequestRefusedError

NAME = "vllm"


class EngineMissingError(RequestRefusedError):
    """vLLM is not installed where the GPU worker runs."""

    type = "engine_missing"


class EngineOptionError(RequestRefusedError):
    """The engine does not take an option, or not this value of it."""

    type = "engine_option"


class ModelNotFoundError(RequestRefusedError):
    """The engine does not find the model."""

    type = "model_not_found"


class OutOfMemoryError(ProviderUnavailableError):
    """The model does not fit beside what is loaded already."""

    type = "out_of_memory"


class NoSpaceError(ProviderUnavailableError):
    """The disk is full."""

    type = "no_space"
