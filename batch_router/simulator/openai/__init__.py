"""OpenAI's Files and Batches APIs, below `/openai/v1`."""

from .account import OpenAI

__all__ = ["OpenAI"]
