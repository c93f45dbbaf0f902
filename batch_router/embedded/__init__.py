"""A real Valkey of our own, for those who have none: started, watched, and ended with the process that owns it."""

from .record import running_url
from .server import EmbeddedServer

__all__ = ["EmbeddedServer", "running_url"]
