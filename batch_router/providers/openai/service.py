"""Where OpenAI's wire is spoken, and with which words."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ...core import BatchStatus


class Service(NamedTuple):
    """A service that a client of OpenAI's wire can call.

    Attributes:
        name: the provider's.
        url: where it is, if no setting says otherwise.
        url_variable: the SDK's own variable for that, which is OpenAI's alone.
        windows: the completion windows that a job may have; the first is the default.
        statuses: status words beyond OpenAI's own.
    """

    name: str
    url: str
    url_variable: str | None = None
    windows: tuple[str, ...] = ("24h",)
    statuses: Mapping[str, BatchStatus] = MappingProxyType({})


OPENAI = Service("openai", "https://api.openai.com/v1", "OPENAI_BASE_URL")
