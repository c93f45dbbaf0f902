"""Celery's settings, ours and an operator's."""

from __future__ import annotations

import types
from typing import Any

import pytest
from celery.app.defaults import SETTING_KEYS

from batch_router.exceptions import ValidationError
from batch_router.settings import Settings
from batch_router.worker import config
from batch_router.worker.config import celery_settings


def operators(text: str) -> dict[str, Any]:
    """The names of a module that begins as the pages say."""
    module = types.ModuleType("operators")
    exec(f"from batch_router.worker.config import *\n{text}", vars(module))
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


def test_only_settings_are_imported() -> None:
    """An operator's module gets all of ours, and none of the names that we make them with."""
    assert operators("").keys() == set(config.__all__) == {*vars(config)} & SETTING_KEYS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "worker_prefetch_multiplyer = 4",
            "no setting 'worker_prefetch_multiplyer'; did you mean 'worker_prefetch_m",
        ),
        ("CELERYD_CONCURRENCY = 4", "no setting 'CELERYD_CONCURRENCY'; "),
        ("ours = 4", "no setting 'ours'; a name of your own must begin with '_'"),
    ],
)
def test_a_name_that_is_no_setting_is_refused(text: str, said: str) -> None:
    """It may be a misspelt one, which would have no effect."""
    with pytest.raises(ValidationError, match=said):
        celery_settings(Settings(), operators(text))


def test_what_a_module_needs_to_make_its_settings_is_left_out() -> None:
    """Modules, functions and classes that it imports or defines."""
    text = """
from __future__ import annotations
import os
from kombu import Queue
def half(n): return n // 2
worker_concurrency = half(os.cpu_count() * 2)
"""
    made = celery_settings(Settings(), operators(text.split("\n", 2)[2]) | {"annotations": annotations})
    assert made["worker_concurrency"]
    assert made.keys() <= SETTING_KEYS
