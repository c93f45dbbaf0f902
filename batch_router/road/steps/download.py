"""The provider's answers into storage, as they are: each file an object of its own, so that what came stays."""

import msgspec

from ...bounds import Bounds
from ...core import BatchStatus
from ...core.jobs import Job
from ...exceptions import AnswersTooLargeError, NotFoundError, ProviderAPIError
from ...jsonl import LongLine, bounded_lines
from ...state.facts import ShardFacts
from ...state.items import Shard
from ...state.parts import Fetched
from ...state.table import State
from ..answers import row_id_of
from ..context import Context
from ..earlier import earlier_answers
from ..layout import shard_prefix
from ..outcome import ShardOutcome, shard_to
from ..policy import describe
from ..refetch import fetch_again, look_again, promised_answers
from ..step import Step

# Seconds until the rest is tried again, where some of the files came.
_SOON = 1.0


def download(context: Context, shard: Shard) -> ShardOutcome:
    """Fetch all answers that are not here yet. What came is kept, whatever becomes of the rest."""
    if shard.job is None:
        raise RuntimeError("a shard is downloaded only with a job")
    files = _Files(context, shard)
    files.fetch(shard.job)
    if files.absent:  # the store may have forgotten that they were fetched, and deleted there
        files.take_earlier()
    answers = tuple(files.fetched.values())
    if files.trouble is not None:
        if answers == shard.answers:
            raise files.trouble
        return shard_to(State.DOWNLOADING, _SOON, answers=answers, error=describe(files.trouble, retryable=True))
    gap = _gap(context, shard, shard.job, files)
    again = None
    if gap is not None and files.absent:
        again = look_again(shard, gap, is_paid=files.rows < (shard.job.completed or shard.rows))
    elif gap is not None and not shard.job.unnamed:
        again = fetch_again(shard, gap)
    outcome = again or shard_to(shard.state.onward, gap=gap or shard.gap)
    return outcome.over(ShardFacts(answers=answers))


def _gap(context: Context, shard: Shard, job: Job, files: "_Files") -> str | None:
    """Why this cannot be all. A connection that breaks is an error by itself; a proxy may end an answer politely."""
    promised = promised_answers(context, shard)
    if files.absent and (files.rows < promised or not promised):
        return f"answers of {job.id} are not there: {files.absent[0]}"
    if files.rows < promised and job.unnamed:
        return shard.gap
    if files.rows < promised:
        return f"the provider counted {promised} answers, {files.rows} came"
    if files.is_cut_off:
        return "the last answer is cut off"
    if _seems_short(context, shard, job, files.rows):
        return f"the job is completed, and {files.rows} of {shard.rows} answers came"
    return None


def _seems_short(context: Context, shard: Shard, job: Job, rows: int) -> bool:
    """Whether a completed job has fewer answers than rows; counts that say the same may be old ones."""
    is_done = job.status is BatchStatus.COMPLETED and not job.unnamed
    return is_done and rows < shard.rows and context.clients.provider(shard.provider).remote


class _Files:
    """The files of a shard's answers.

    Attributes:
        fetched: those that are here, by the provider's names, in the order in which they are read.
        absent: why the provider does not have others.
        trouble: why one could not be fetched now.
        is_cut_off: whether the last answer of one that was fetched now is no whole one.
    """

    def __init__(self, context: Context, shard: Shard) -> None:
        self.fetched = {each.file: each for each in shard.answers}
        self.absent: list[NotFoundError] = []
        self.trouble: ProviderAPIError | None = None
        self.is_cut_off = False
        self._context = context
        self._shard = shard

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.fetched.values())

    def fetch(self, job: Job) -> None:
        """Fetch the files of the job that are not here; all of them, if what is here looked cut short."""
        for number, file in enumerate(job.outputs or ("",)):
            if file in self.fetched and not self._shard.refetches:
                continue
            try:
                self._fetch(msgspec.structs.replace(job, outputs=(file,) if file else ()), file, number)
            except AnswersTooLargeError:
                raise
            except NotFoundError as error:
                self.absent += [] if file in self.fetched else [error]
            except ProviderAPIError as error:
                self.trouble = error

    def take_earlier(self) -> None:
        """Take what lies in storage of an earlier life of the shard, if it is more."""
        earlier = earlier_answers(self._context, self._shard)
        if earlier.rows > self.rows:
            self.fetched = {each.file: each for each in earlier.answers}

    def _fetch(self, job: Job, file: str, number: int) -> None:
        context, known = self._context, self.fetched.get(file)
        name = f"{shard_prefix(self._shard, self._shard.label)}-answers-{number}.jsonl"
        with context.storage.write(name) as stream:
            context.client_of(self._shard).download(job, stream)
        rows = self._count(name)
        if known is not None and known.rows >= rows:
            context.storage.delete(name)
        else:
            self.fetched[file] = Fetched(file=file, name=name, size=context.storage.size(name), rows=rows)

    def _count(self, name: str) -> int:
        """How many answers to rows of ours an object has, whole ones."""
        context, bounds = self._context, self._context.settings.of(Bounds)
        codec = context.clients.provider(self._shard.provider).codec
        ours = f"{self._shard.label}-"
        rows = 0
        row_id: str | None = ""
        with context.storage.open(name) as stream:
            for line in bounded_lines(stream, bounds.max_answer_bytes):
                if isinstance(line, LongLine) or not line.isspace():
                    row_id = row_id_of(line, self._shard, codec, bounds)
                    rows += row_id is not None and row_id.startswith(ours)
        self.is_cut_off = self.is_cut_off or row_id is None
        return rows


STEP = Step(download, calls_provider=True)
