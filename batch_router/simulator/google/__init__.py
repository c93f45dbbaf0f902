"""The Gemini Developer API's files and batches, below `/google`."""

from .account import Google

__all__ = ["Google"]
