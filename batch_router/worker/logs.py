"""What a worker logs, its own lines and Celery's: text in Celery's form, or JSON lines."""

from typing import Any

from celery.app import log

from ..security.json_lines import JsonLines
from ..settings import Settings


class WorkerLogging(log.Logging):
    """Celery's logging of our app."""

    def setup_handlers(self, logger: Any, *arguments: Any, **options: Any) -> Any:
        """Called for each logger that gets a handler, in the worker and in each of its children."""
        if Settings.from_env().log_format == "json":
            options["formatter"] = JsonLines
        return super().setup_handlers(logger, *arguments, **options)
