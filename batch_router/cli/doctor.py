"""`batch-router doctor`: checks whether a batch could run from this machine, and says what to do if not."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing

import click
import redis

from ..connect import broker_server, open_broker, open_context, open_store, queue_key, state_server
from ..core.finding import Finding
from ..core.times import iso_time
from ..exceptions import BatchRouterError
from ..operations.orphans import find_orphans, find_strays
from ..providers import find_provider, provider_names
from ..road.storage_mark import check
from ..security.files import make_home
from ..security.masking import mask_url
from ..security.redis_url import RedisServer
from ..settings import Settings
from ..startup import check_server, check_settings
from ..state.base import SWEEPING
from ..state.items import batch_id_of
from ..state.table import State
from .exit_codes import ExitCode
from .terminal import line, stdout, table, tell_json

_LEAST_FREE = 1 << 30
_JOBS = 1000  # the newest ones of each account
_SHOWN = 20  # of the quarantine


@click.command()
@click.option("--orphans", is_flag=True, help="Instead, look for jobs and folders that no batch owns.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def doctor(as_json: bool, orphans: bool) -> int:
    """Check Redis, broker, workers, storage, keys, and vLLM where it is installed."""
    settings = Settings.from_env()
    checks = (
        (_orphans,) if orphans else (_settings, _redis, _broker, _workers, _quarantine, _storage, _keys, _providers)
    )
    findings = [finding for check in checks for finding in _run(check, settings)]
    if as_json:
        tell_json({"version": 1, "findings": [finding._asdict() for finding in findings]})
    else:
        _print(findings)
    return ExitCode.FOUND_SOMETHING if any(finding.remedy for finding in findings) else ExitCode.OK


def _run(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> list[Finding]:
    try:
        return list(check(settings))
    except (BatchRouterError, redis.RedisError, OSError) as error:
        message = str(error) if isinstance(error, BatchRouterError) else type(error).__name__
        return [Finding(check.__name__.strip("_"), "failed", message)]


def _settings(settings: Settings) -> Iterator[Finding]:
    check_settings(settings)
    yield Finding("settings", "workers can work with them")


def _redis(settings: Settings) -> Iterator[Finding]:
    yield from _encryption("redis", state_server(settings))
    server = check_server(settings)
    yield Finding("redis", f"{server.name} takes what workers write")
    yield Finding(
        "persistence",
        "AOF on" if server.keeps else "AOF off",
        "" if server.keeps else "turn it on (appendonly yes), or a restart of Redis loses the state",
    )
    remedy = "" if server.eviction == "noeviction" else "set maxmemory-policy noeviction: an evicted key is lost state"
    yield Finding("eviction", server.eviction, remedy)


def _broker(settings: Settings) -> Iterator[Finding]:
    with open_broker(settings) as client:
        key = queue_key(settings, "probe")  # no worker listens on it
        client.lpush(key, "x")
        client.brpop([key], 1)
        client.publish(f"{settings.prefix}.probe", "x")
    yield Finding("broker", "takes messages and gives them back")
    yield from _encryption("broker", broker_server(settings))


def _encryption(what: str, server: RedisServer) -> Iterator[Finding]:
    """No remedy is asked for: the network may be a private one of containers."""
    if server.is_exposed:
        yield Finding(what, f"what goes to {server.host} is not encrypted; rediss:// is")


def _workers(settings: Settings) -> Iterator[Finding]:
    store = open_store(settings)
    queues = sorted({state.queue for state in State} | set(_model_queues(settings)))
    for queue in queues:
        count = len(store.listeners(queue))
        command = f"celery -A batch_router.worker worker -Q {queue}"
        remedy = "" if count else f"start a worker: {command}, or `batch-router up`"
        yield Finding(f"queue {queue}", f"{count} workers", remedy)
    listening = {worker for queue in queues for worker in store.listeners(queue)}
    for worker in sorted(listening - set(store.listeners(SWEEPING))):
        yield Finding(f"worker {worker}", "its sweep does not run", "see its log, and restart it if it goes on")


def _quarantine(settings: Settings) -> Iterator[Finding]:
    found = open_store(settings).quarantined(_SHOWN)
    for item in found:
        remedy = f"mend it or restore it from a backup, then `batch-router resume {batch_id_of(item.id)}`"
        yield Finding(f"quarantine {item.id}", f"{item.reason}, since {iso_time(item.since)}", remedy)
    if not found:
        yield Finding("quarantine", "empty")


def _model_queues(settings: Settings) -> Iterator[str]:
    for name in provider_names(settings):
        yield from find_provider(name, settings).model_queues(settings)


def _providers(settings: Settings) -> Iterator[Finding]:
    for name in provider_names(settings):
        yield from find_provider(name, settings).examine(settings)


def _storage(settings: Settings) -> Iterator[Finding]:
    home = settings.home.absolute()
    make_home(home)
    with tempfile.TemporaryFile(dir=home):
        free = shutil.disk_usage(home).free
    remedy = "" if free > _LEAST_FREE else "less than 1 GB is free: make room, or set BATCH_ROUTER_HOME elsewhere"
    yield Finding("storage", f"{home}, {free / 1e9:.0f} GB free", remedy)
    with closing(open_context(settings)) as context:
        check(context)


def _keys(settings: Settings) -> Iterator[Finding]:
    for name in provider_names(settings):
        variables = find_provider(name, settings).key_variables
        if not variables:
            continue
        url = settings.base_urls.get(name)
        place = f" ({mask_url(url)})" if url else ""
        found = [variable for variable in variables if os.environ.get(variable)]
        yield Finding(
            f"key {name}", f"{found[0]} is set here{place}" if found else f"{variables[0]} is not set here{place}"
        )


def _orphans(settings: Settings) -> Iterator[Finding]:
    context = open_context(settings)
    for provider, credential in sorted(context.store.accounts(), key=str):
        place = f"orphans {provider}{f' ({credential})' if credential else ''}"
        try:
            found = list(find_orphans(context, provider, credential, _JOBS))
        except BatchRouterError as error:  # of this account alone
            yield Finding(place, "failed", str(error))
            continue
        for job in found:
            remedy = "" if job.status.is_final else "no shard will fetch its answers: cancel it at the provider"
            yield Finding(place, f"{job.id} {job.status} {iso_time(job.created_at)}", remedy)
        if not found:
            yield Finding(place, f"none among the newest {_JOBS} jobs")
    for folder in find_strays(context):
        remedy = "no batch of this store has it: delete it, unless another store uses this storage, too"
        yield Finding("folder", f"{context.storage.address}/{folder}", remedy)


def _print(findings: list[Finding]) -> None:
    shown = table()
    for finding in findings:
        mark = line(("!!", "red") if finding.remedy else ("ok", "green"))
        shown.add_row(mark, finding.what, finding.found, finding.remedy)
    stdout().print(shown)
