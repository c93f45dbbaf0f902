"""Every effect of the road: what changes the store, a provider, the storage or a queue, by step.

An effect is named `<step>/<seam>`: `create/client.create`, `normalize/write results`, `poll/publish`. The step may also
be a thread beside the steps (`sweep`, `lease-keeper`, `job-watch`), the `start` of a worker, or what
others run: `submit`, `purge`, `retry`, `cancel`, `resume`, `resolve` and `rebuild`.
A traced run that shows another effect fails, and so does an effect whose drills never reached it.
"""

from typing import NamedTuple

_REMOTE = ("openai", "anthropic", "google")
_ALL = (*_REMOTE, "vllm")


class Effect(NamedTuple):
    """One effect.

    Attributes:
        name: see the module.
        course: the way of a batch that reaches it.
        providers: where it is drilled: all, where they differ.
        by: the process that has it: a `worker`, the `caller`, the `operator` (the command is the name's first part), or
            `undo`: a worker that was stopped, and wakes when another one has its item; `race`: a command that
            another one came before; `forgetting`: a worker whose server forgot something.
    """

    name: str
    course: str = "plain"
    providers: tuple[str, ...] = ("openai",)
    by: str = "worker"


def _step(step: str, *effects: Effect, course: str = "plain", publishes: bool = True) -> tuple[Effect, ...]:
    """What each step has, around what is its own."""
    before, after = Effect(f"{step}/store.claim", course), Effect(f"{step}/store.commit", course)
    own = tuple(effect._replace(name=f"{step}/{effect.name}") for effect in effects)
    return (before, *own, after, *((Effect(f"{step}/publish", course),) if publishes else ()))


#: In the order of the road.
EFFECTS: tuple[Effect, ...] = (
    *(
        Effect(f"submit/{name}", by="caller")
        for name in ("write input", "write submission", "store.create", "write mark", "publish")
    ),
    Effect("submit/delete input", "sent again", by="caller"),
    Effect("submit/delete submission", "sent again", by="caller"),
    *_step(
        "convert",
        Effect("write requests", providers=_ALL),
        Effect("write row-ids"),
        Effect("delete requests", "bad row"),
        Effect("delete row-ids", "bad row"),
        Effect("write report", "bad row"),
    ),
    *_step(
        "expire",
        Effect("store.cancel", "time-out"),
        course="time-out",
        publishes=False,
    ),
    *_step(
        "upload",
        Effect("store.reserve uploads booked"),
        Effect("store.pause", "upload refused"),
        Effect("client.upload", providers=_ALL),
    ),
    *_step(
        "create",
        Effect("store.reserve intent account booked", providers=_REMOTE),
        Effect("client.create", providers=_ALL),
        Effect("store.renew no intent booked", "create refused", _REMOTE),
        Effect("store.pause", "create refused"),
        Effect("client.keep_answers", "gives up", ("vllm",)),
        Effect("store.begin_walk", "create lost", _REMOTE),
        Effect("client.list", "create lost", _REMOTE),
        Effect("client.read_label", "create lost", ("anthropic",)),
        Effect("store.note_labels", "create lost", ("anthropic",)),
        Effect("store.end_walk", "create lost", _REMOTE),
        Effect("client.delete_upload", "create vanished", ("openai", "google")),
    ),
    Effect("create/store.renew intent account", by="race", providers=_REMOTE),  # in doubt, it notes what may have been
    Effect("create/write job", by="undo", providers=_REMOTE),
    Effect("journal/delete job", by="undo"),
    Effect("journal/client.cancel", "create unseen", by="undo"),
    Effect("upload/client.delete_upload", by="undo"),
    Effect("lost/store.let_go", by="undo"),
    *_step(
        "poll",
        Effect("client.get", providers=_REMOTE),
        Effect("store.pause", "poll refused"),
        Effect("client.cancel", "cancel", _REMOTE),
    ),
    *_step(
        "download",
        Effect("client.download", providers=_ALL),
        Effect("write answers"),
        Effect("delete answers", "cut short"),
    ),
    *_step(
        "normalize",
        Effect("write results", providers=_ALL),
        Effect("write kept-row-ids", "row retries"),
        Effect("write requests", "row retries"),
        Effect("write row-ids", "row retries"),
    ),
    *_step(
        "clean",
        Effect("client.find_uploads", "upload again"),
        Effect("client.delete_upload", providers=("openai", "google")),
        Effect("client.delete", providers=_ALL),
    ),
    *_step("park", Effect("client.cancel", "given up"), course="given up"),
    *_step("finish", Effect("write manifest", "linked"), Effect("write spend", "linked"), course="linked"),
    *_step("notify", Effect("deliver", "linked"), Effect("post", "linked"), course="linked", publishes=False),
    Effect("lease-keeper/store.renew", "long", ("vllm",)),
    Effect("job-watch/client.get", "long", ("vllm",)),
    Effect("job-watch/store.renew progress", "long", ("vllm",)),
    Effect("job-watch/client.cancel", "cancel", ("vllm",)),
    Effect("job-watch/client.interrupt", "deploy", ("vllm",)),
    Effect("start/store.bind_storage", "restart"),
    Effect("watch/store.announce"),
    Effect("sweep/store.take_due"),
    Effect("sweep/store.restore_times", "restart"),
    Effect("sweep/publish", "silent"),
    Effect("sweep/store.decide", "unattended", ("vllm",)),
    *(
        Effect(f"purge/{name}", by="operator")
        for name in ("store.decide", "delete mark", "delete folder", "delete input", "delete manifest")
    ),
    Effect("purge/delete submission", by="operator"),
    Effect("purge/store.delete", by="operator"),
    *(
        Effect(f"retry/{name}", "refused row", by="operator")
        for name in ("store.decide", "write input", "write submission", "store.create", "write mark")
    ),
    Effect("cancel/store.cancel", "cancelled by an operator", by="operator"),
    Effect("resume/store.reopen", "cut short", by="operator"),
    Effect("resolve --attach/client.get", "parked", by="operator"),
    Effect("resolve --attach/store.decide", "parked", by="operator"),
    Effect("resolve --recreate/store.decide", "parked for good", by="operator"),
    Effect("resolve --give-up/store.decide", "to be given up", by="operator"),
    Effect("rebuild/write mark", "emptied", by="operator"),
    Effect("rebuild/store.create", "emptied", _REMOTE, by="operator"),
    *(Effect(f"retry/{name}", by="race") for name in ("delete input", "delete submission")),
    # A worker wakes after a purge, and takes back what it wrote; an operator purges a batch that was refused.
    *(Effect(name, by="race") for name in ("convert/delete report", "finish/delete manifest", "purge/delete report")),
    *(Effect(f"normalize/delete {what}", by="race") for what in ("results", "kept-row-ids", "requests", "row-ids")),
    # A worker goes on with a purge whose caller died, and looks at what ended some time ago.
    *(
        Effect(f"retire/{name}", by="race")
        for name in ("store.claim", "delete mark", "delete folder", "delete input", "delete manifest")
    ),
    *(Effect(f"retire/{name}", by="race") for name in ("delete submission", "store.delete", "store.commit", "publish")),
    Effect("create/client.find_uploads", by="forgetting"),
    Effect("resume/store.release", by="race"),
    Effect("convert/store.cancel", by="race"),  # of a batch that is overdue before it is cut
    # A poll whose job the provider does not know walks the list.
    *(Effect(f"poll/{name}", by="race") for name in ("client.list", "store.begin_walk", "store.end_walk")),
    Effect("create/client.cancel", by="race"),  # of a batch that is cancelled while its job is looked for
    Effect("sweep/store.create", by="forgetting"),
)

NAMES = frozenset(effect.name for effect in EFFECTS)
