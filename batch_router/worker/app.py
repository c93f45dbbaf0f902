"""The Celery app: `celery -A batch_router.worker worker`. It is a guest in the processes of other apps."""

from collections.abc import Callable
from typing import Any

import click
from celery import Celery
from celery.app.utils import Settings as CelerySettings

from ..connect import broker_server
from ..security.logs import log_as_json
from ..settings import Settings
from .broker import AMQP
from .flower import only_look
from .loader import Loader


class _OwnSettings(CelerySettings):
    """Celery's settings without its variables: `CELERY_BROKER_URL` and the like are meant for the host's app."""

    @property
    def broker_url(self) -> str:
        """Where the broker is now: asked for each connection, so that importing the app needs no server."""
        return broker_server(Settings.from_env()).url

    broker_read_url = broker_write_url = broker_url

    @property
    def broker_use_ssl(self) -> dict[str, Any] | None:
        """For Flower's page about queues; our own connections read the URL."""
        return broker_server(Settings.from_env()).tls or None

    @property
    def result_backend(self) -> str:
        return str(self["result_backend"])


class GuestApp(Celery):
    """An app that changes nothing of another app's in its process, and takes nothing of it."""

    log_cls = "batch_router.worker.logs:WorkerLogging"
    _pool: Any = None

    @Celery.conf.getter
    def conf(self) -> _OwnSettings:
        """Celery's settings; see `config`."""
        settings: _OwnSettings = Celery.conf.fget(self)
        object.__setattr__(settings, "__class__", _OwnSettings)  # an attribute would be a setting
        return settings

    @property
    def pool(self) -> Any:
        """Connections of this app alone: Celery would set the limit of every app's pools to ours."""
        if self._pool is None:
            self._ensure_after_fork()
            self._pool = self.connection_for_write().Pool(limit=self.conf.broker_pool_limit)
        return self._pool

    @property
    def user_options(self) -> dict[str, Any]:
        """None. The `celery` program asks for them just before it reads a command's options.

        It would look for those in variables such as `CELERY_WORKER_QUEUES`, which are meant for the host's workers.
        """
        if (program := click.get_current_context(silent=True)) is not None:
            program.auto_envvar_prefix = None
            if program.invoked_subcommand == "flower":
                only_look()
                if Settings.from_env().log_format == "json":
                    log_as_json()  # tornado then adds no lines of its own form
        return {}

    @user_options.setter
    def user_options(self, options: object) -> None:
        """Celery sets an empty table."""

    def _task_from_fun(self, fun: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Celery offers each `@shared_task` of a process to every app; ours takes only Celery's own and ours."""
        if fun.__module__.partition(".")[0] in ("celery", "batch_router"):
            return super()._task_from_fun(fun, *args, **options)
        return None


# Without a loader and fixups of its own, the app would follow `CELERY_LOADER` and `DJANGO_SETTINGS_MODULE`.
app = GuestApp("batch_router", set_as_current=False, fixups=(), loader=Loader, amqp=AMQP)
