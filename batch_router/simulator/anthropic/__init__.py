"""Anthropic's Message Batches API, below `/anthropic`."""

from .account import Anthropic

__all__ = ["Anthropic"]
