"""What a dead worker left running on this machine is ended when the next one starts."""

import threading

from ..providers import find_provider, provider_names
from ..security.logs import get_logger
from ..settings import Settings

log = get_logger(__name__)


def end_leftovers() -> None:
    """In a thread: an engine may take ten seconds to end, and the worker's first job does not need it gone."""
    threading.Thread(target=_end, name="leftovers", daemon=True).start()


def _end() -> None:
    home = Settings.from_env().home.absolute()
    for name in provider_names():
        try:
            find_provider(name).end_leftovers(home)
        except Exception:
            log.exception("action=tidy_failed provider=%s", name)
