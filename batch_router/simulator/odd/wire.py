"""Where a provider's replies have what oddities change."""

from typing import Any, NamedTuple

#: The names that lead from a reply to a value in it.
Place = tuple[str, ...]


class Wire(NamedTuple):
    """A provider's wire format, as far as oddities go.

    Attributes:
        id: where a job has its id.
        prefix: with what the ids of jobs begin.
        status: where a job has its status, and `ended` the words for the end.
        counts: where its counts are; `succeeded` and `failed` are their names.
        times: where its times are; `time_suffix` ends their names.
        label: where a job has what it was labelled with; empty if it has no label.
        output: where its output file is named; at Google twice.
        error: where its error file is named.
        page: the member of a list that has the jobs.
        row_id: the member of an answer that has the row's id.
        has_nulls: whether what is not there is null; else it is left out.
    """

    id: Place
    prefix: str
    status: Place
    ended: frozenset[str]
    counts: Place
    succeeded: str
    failed: str
    times: Place
    time_suffix: str
    label: Place
    output: tuple[Place, ...]
    error: tuple[Place, ...]
    page: str
    row_id: str
    has_nulls: bool = True

    def files(self, which: str) -> tuple[Place, ...]:
        """Where the files are named: the output, the error file, or any."""
        return {"output": self.output, "error": self.error}.get(which, self.output + self.error)

    def job_id(self, reply: Any) -> str | None:
        """The id of the job that a reply, or a member of a list, describes; None if it describes none."""
        job_id = get(reply, self.id)
        is_job = isinstance(job_id, str) and job_id.startswith(self.prefix) and get(reply, self.status)
        return job_id if is_job else None

    def clear(self, job: dict[str, Any], place: Place) -> None:
        """Make a value look as if it were not there."""
        if self.has_nulls:
            put(job, place, None)
        elif isinstance(holder := get(job, place[:-1]), dict):
            holder.pop(place[-1], None)


def get(value: Any, place: Place) -> Any:
    """The value at a place; None if there is none."""
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def put(job: dict[str, Any], place: Place, value: Any) -> None:
    """Set the value at a place, if there is an object that can have it."""
    holder = get(job, place[:-1])
    if place and isinstance(holder, dict):
        holder[place[-1]] = value
