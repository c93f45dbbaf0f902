"""Which models a batch may name, and where each of them is.

A submitter names models of the Hub, or names that the operator gave to models of his own: never a path or a URL, which
the worker would open with its own rights.
"""

import re
from collections.abc import Mapping

from ...exceptions import ValidationError
from ...security.printable import printable

#: A table of the operator: name -> folder, or name at the Hub; `*`: whether other names at the Hub may be used, too.
ModelTable = Mapping[str, str | bool]

OTHERS = "*"
_LONGEST = 200
_SHOWN = 100
# The Hub's own names; `..` stands in none of them. A relative path with two parts looks the same: `process/folder.py`
# sees to it that it leads nowhere.
_HUB_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9_.-]*(?:/[A-Za-z0-9][A-Za-z0-9_.-]*)?")
# What a server elsewhere calls its models is its own matter: often the path from which it loaded them.
_SERVED_NAME = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_.:@+/-]*")


def check_table(models: ModelTable) -> None:
    """Check the operator's table.

    Raises:
        ValidationError: says which entry is wrong.
    """
    for name, place in models.items():
        if name == OTHERS:
            is_good = isinstance(place, bool)
        else:
            is_good = _matches(_SERVED_NAME, name) and isinstance(place, str) and _is_place(place)
        if not is_good:
            raise ValidationError(
                f"vllm_models: {printable(name, _SHOWN)!r} needs a name at the Hub or the absolute path of a folder; "
                "'*' needs true or false"
            )


def check_model(model: str, models: ModelTable) -> None:
    """Check the name of a model that an engine of ours is to load.

    Raises:
        ValidationError: the operator does not list it, or it is no name.
    """
    if model in models and model != OTHERS:
        return
    if models and not models.get(OTHERS):
        listed = ", ".join(sorted(models.keys() - {OTHERS}))
        raise ValidationError(f"model: {_shown(model)} is not one of BATCH_ROUTER_VLLM_MODELS: {listed}")
    if not _matches(_HUB_NAME, model):
        raise ValidationError(
            f"model: {_shown(model)} is not the name of a model at the Hub, such as 'org/name'; the operator of the "
            "workers gives names to folders in BATCH_ROUTER_VLLM_MODELS"
        )


def check_served_model(model: str) -> None:
    """Check the name of a model of a server elsewhere; the server has a list of its own.

    Raises:
        ValidationError: it is no name.
    """
    if not _matches(_SERVED_NAME, model):
        raise ValidationError(f"model: {_shown(model)} is not the name of a model")


def place_of(model: str, models: ModelTable) -> str:
    """What an engine loads for a model: its folder, or its name at the Hub. Raises as `check_model` does."""
    check_model(model, models)
    return str(models.get(model, model))


def takes_any(models: ModelTable) -> bool:
    """Whether a submitter may name any model of the Hub."""
    return not models or bool(models.get(OTHERS))


def _is_place(place: str) -> bool:
    return _matches(_HUB_NAME, place) or (place.startswith("/") and place.isprintable())


def _matches(pattern: re.Pattern[str], name: str) -> bool:
    return len(name) <= _LONGEST and pattern.fullmatch(name) is not None


def _shown(model: str) -> str:
    return f"'{printable(model, _SHOWN)}'"
