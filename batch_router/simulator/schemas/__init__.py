"""Instances of JSON schemas: what a model answers that was told to follow one."""

from .instances import instance_of
from .patterns import match_of

__all__ = ["instance_of", "match_of"]
