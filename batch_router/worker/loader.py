"""How the app gets its settings, and what happens when a worker of it starts and ends."""

import os
from importlib import import_module
from typing import Any

import click
from celery.loaders.app import AppLoader
from celery.signals import celeryd_after_setup, worker_shutting_down
from celery.utils.collections import force_mapping

from ..connect import broker_server
from ..exceptions import BatchRouterError, StoreUnavailableError, ValidationError
from ..providers import provider_names
from ..security.files import check_home
from ..settings import Settings
from ..startup import check_worker
from . import process
from .config import celery_settings

#: Options of the `celery` program that set variables for whatever app runs, and what to do instead.
_WITHOUT_EFFECT = {
    "broker": "set BATCH_ROUTER_BROKER_URL",
    "config": "set BATCH_ROUTER_CELERY_CONFIG",
    "loader": "leave it out",
    "result_backend": "leave it out",
}


class _CannotWorkError(click.ClickException):
    """Shown as a sentence; a supervisor may tell this end from others."""

    exit_code = os.EX_CONFIG


class Loader(AppLoader):
    """Reads our settings and no other; Celery calls the rest of it in a worker of our app, and in no other."""

    def import_from_cwd(self, module: str, *_: object, **__: object) -> Any:
        """A module that is installed or on the PYTHONPATH: the folder where a program runs may be another's."""
        return import_module(module)

    def read_configuration(self, env: str = "") -> dict[str, object]:  # noqa: ARG002 - CELERY_CONFIG_MODULE is another app's
        """Our settings, without a `celeryconfig`."""
        return self._read({})

    def config_from_object(self, obj: Any, silent: bool = False) -> bool:  # noqa: ARG002
        """Our settings with those of a module, by `app.config_from_object(module)`."""
        if isinstance(obj, str):
            obj = self.import_from_cwd(obj)
        self._conf = self._read(force_mapping(obj))
        return True

    def _read(self, overrides: Any) -> dict[str, object]:
        context = click.get_current_context(silent=True)
        command = context.find_root() if context else None
        if command is None or getattr(command.obj, "app", None) is not self.app:
            return self._merge(overrides)
        _refuse_options(command)
        try:
            settings = Settings.from_env()
            if settings.log_format == "json":
                command.obj.quiet = True  # no banner among the lines
            check_home(settings.home)
            provider_names(settings)  # a wrong file of services is told now, too
            broker_server(settings)  # where there is none, the command says so now
            return self._merge(overrides)
        except BatchRouterError as error:
            raise _CannotWorkError(str(error)) from error

    def _merge(self, overrides: Any) -> dict[str, object]:
        settings = Settings.from_env()
        named = _public(overrides)
        if settings.celery_config:
            named |= _public(force_mapping(self._operators_module(settings.celery_config)))
        return celery_settings(settings, named)

    def _operators_module(self, name: str) -> Any:
        try:
            return self.import_from_cwd(name)
        except ModuleNotFoundError as error:
            wanted = "the name of a module that is installed or on the PYTHONPATH"
            raise ValidationError(f"BATCH_ROUTER_CELERY_CONFIG: {error}; it is {wanted}") from error

    def on_worker_init(self) -> None:
        """Get ready for the first step, and for the end."""
        try:
            check_worker(Settings.from_env())
            process.bind_storage()
        except StoreUnavailableError:
            pass  # it is away again; the sweep asks for it
        except BatchRouterError as error:
            raise _CannotWorkError(str(error)) from error
        worker_shutting_down.connect(process.stop)  # at once, where the pool has only this process (solo)
        celeryd_after_setup.connect(process.warm_up)  # its queues are known then, and its pool has not forked

    def on_worker_shutdown(self) -> None:
        """Also where the end was asked for by remote control, for which there is no signal."""
        process.stop()


def _public(module: Any) -> dict[str, object]:
    return {name: module[name] for name in module if not name.startswith("_")}


def _refuse_options(command: click.Context) -> None:
    given = click.core.ParameterSource.COMMANDLINE
    for option, instead in _WITHOUT_EFFECT.items():
        if command.get_parameter_source(option) is given:
            raise click.UsageError(f"--{option.replace('_', '-')} has no effect on batch_router: {instead}")
