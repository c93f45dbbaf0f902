"""Each kind of harm has one place in the code that keeps it out: no second place appears."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "batch_router"


@cache
def modules() -> dict[str, ast.Module]:
    """All but the simulator, which is a server of the tests, and imports nothing of the rest."""
    return {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.is_relative_to(PACKAGE / "simulator")
    }


def called(tree: ast.Module) -> Iterator[str]:
    """The calls of a module, as they are written: `logging.getLogger`."""
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def imported(tree: ast.Module) -> Iterator[str]:
    """What a module imports: `logging.getLogger`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def used() -> dict[str, set[str]]:
    """What each module calls and imports."""
    return {path: {*called(tree), *imported(tree)} for path, tree in modules().items()}


def callers(*names: str) -> set[str]:
    """The modules that call or import one of these."""
    return {path for path, uses in used().items() if uses & set(names)}


def test_one_place_makes_loggers() -> None:
    """What a logger of another place writes could forge a line."""
    levels = ("debug", "info", "warning", "error", "exception", "critical", "log")
    others = ("celery.utils.log.get_task_logger", "get_task_logger", "celery.utils.log.get_logger")
    assert callers("logging.getLogger", "getLogger", *others) == {"security/logs.py"}
    assert callers(*(f"logging.{level}" for level in levels), "logging.Logger") == set()


def test_one_place_connects_to_what_users_name() -> None:
    """A connection of another place would follow redirects, and go to any address."""
    assert callers("aiohttp.ClientSession", "aiohttp.TCPConnector", "aiohttp.request") == {"connections.py"}
    tree = ast.unparse(modules()["connections.py"])
    assert tree.count("self._session.") - tree.count("self._session.close") == tree.count("allow_redirects=False")


def test_one_place_makes_paths_of_ids() -> None:
    """A job's id comes from the store."""
    assert callers("JobFiles") == {"providers/vllm/files.py"}


def test_one_place_starts_engines() -> None:
    """With an environment that has no secret; the guard has the engine's own."""
    started = callers("subprocess.Popen", "subprocess.run", "os.system", "os.execv", "subprocess.check_output")
    of_vllm = {path for path in started if path.startswith("providers/vllm/")}
    assert of_vllm == {"providers/vllm/process/group.py", "providers/vllm/doctor.py"}
    assert of_vllm - callers("engine_environment") == set()


def test_only_the_command_line_writes_to_a_terminal() -> None:
    """The library logs, and writes to no stream of its host's."""
    streams = [f"sys.{stream}.{write}" for stream in ("stdout", "stderr") for write in ("write", "writelines")]
    traces = [f"traceback.{name}" for name in ("print_exc", "print_exception", "print_stack", "print_last")]
    echoes = ["click.echo", "click.secho", "rich.console.Console", "rich.print", "print", "warnings.warn"]
    writers = callers(*streams, *traces, *echoes, "os.write", "sys.stdout.buffer.write")
    assert {path for path in writers if not path.startswith("cli/")} == set()


def test_one_place_makes_http_clients() -> None:
    """What another place sends could go anywhere, unverified, and its answers could be of any size."""
    clients = [f"httpx2.{name}" for name in ("Client", "AsyncClient", "HTTPTransport", "AsyncHTTPTransport", "Proxy")]
    calls = [f"httpx2.{name}" for name in ("get", "post", "put", "patch", "delete", "head", "request", "stream")]
    pools = [f"httpcore2.{name}" for name in ("ConnectionPool", "HTTPProxy", "SOCKSProxy", "request", "stream")]
    sdks = [f"{sdk}.DefaultHttpxClient" for sdk in ("openai", "anthropic")]
    others = ["urllib.request.urlopen", "requests", "urllib3"]
    assert callers(*clients, *calls, *pools, *sdks, *others) == {"providers/_http/transport.py"}


def test_one_place_masks_secrets() -> None:
    """No other place has a mask of its own, or an opinion on which names are those of secrets."""
    masks = {path for path, tree in modules().items() for node in ast.walk(tree) if _is_mask(node)}
    assert masks == {"security/masking.py"}


def _is_mask(node: ast.AST) -> bool:
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and ("***" in text or "KEY|TOKEN" in text)


def test_one_place_of_the_command_line_writes() -> None:
    """All else hands its texts to that place, which shows them as they are."""
    streams = [f"sys.{stream}.{name}" for stream in ("stdout", "stderr") for name in ("write", "buffer.write")]
    texts = ["rich.text.Text", "rich.markup.render", "rich.panel.Panel", "rich.progress.Progress", "rich.print"]
    printers = ["click.echo", "click.secho", "print", "sys.stdout.buffer.writelines", "honcho.printer.Printer"]
    assert callers(*streams, *texts, *printers, "Console") == {"cli/terminal.py"}


def test_one_place_opens_files_for_this_user_alone() -> None:
    """A file that is opened by its path elsewhere could be a link, a FIFO or another user's."""
    places = {"security/files.py", "security/paths.py", "storage/folder.py"}
    assert callers("os.open") - {"cli/terminal.py"} == places
    by_path = {
        path: [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "open"]
        for path, tree in modules().items()
    }
    openers = {
        (path, next((ast.unparse(word.value) for word in call.keywords if word.arg == "opener"), None))
        for path, calls in by_path.items()
        for call in calls
    }
    assert {opener for _, opener in openers} == {"open_private", "open_regular"}


def test_two_places_delete_folders() -> None:
    """A folder that is deleted with all that is in it is a batch's, or one that an engine worked in."""
    assert callers("shutil.rmtree") == {"storage/folder.py", "providers/vllm/process/folder.py"}


def test_one_place_reads_what_the_store_holds() -> None:
    """An item that was read elsewhere would not be checked."""
    users = callers("Batch", "Shard")  # made by a submission and by the steps that cut rows
    assert users == {"road/submission.py", "road/cutting.py", "road/follow_up.py"}
    converters = {path for path in callers("msgspec.convert") if path.startswith("state/")}
    assert converters == {"state/checks.py"}
