"""Odd replies: a layer between the handlers, whose replies are well-formed, and the wire."""

from .replies import OddReplies
from .wire import Wire

__all__ = ["OddReplies", "Wire"]
