"""Flower shows what happens, and cancels batches. It would also start any task with any arguments in its process."""

from importlib import import_module
from typing import Any


def only_look() -> None:
    """Take the addresses that act out of Flower; they are answered with 404."""
    urls = import_module("flower.urls")  # only in Flower's process

    urls.handlers[:] = [each for each in urls.handlers if not _acts(each)]


def _acts(handler: Any) -> bool:
    kind = handler[1] if isinstance(handler, tuple) else handler.handler_class
    return kind.__module__.startswith("flower.api.") and "post" in vars(kind) and kind.__name__ != "TaskRevoke"
