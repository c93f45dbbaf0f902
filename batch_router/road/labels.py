"""The labels of jobs where a provider's lists show none: each is asked for once per account, by whichever worker."""

from collections.abc import Iterable, Iterator
from typing import cast

import msgspec

from ..core.jobs import Job
from ..providers import UnlabelledClient
from .context import Context


def read_labels(context: Context, account: str, client: UnlabelledClient, jobs: Iterable[Job]) -> Iterator[Job]:
    """The jobs, each with its label if it has ended; "": none of ours. None: it cannot be read yet.

    Args:
        context: has the store that remembers labels.
        account: whose jobs they are.
        client: of that account.
        jobs: those that have no label.
    """
    listed = list(jobs)
    known = context.store.get_labels(account, [job.id for job in listed])
    for job in listed:
        label = known.get(job.id)
        if label is None and job.status.is_final:
            label = client.read_label(job)
            if label is not None:
                context.store.note_labels(account, {job.id: label})
        yield msgspec.structs.replace(job, label=label)


def labelled(context: Context, provider: str, credential: str | None, jobs: Iterable[Job]) -> Iterable[Job]:
    """The jobs of an account with the labels that can be known; where lists show labels, as they are."""
    if context.clients.provider(provider).labelled:
        return jobs
    client = cast(UnlabelledClient, context.clients.get(provider, credential))
    return read_labels(context, client.access.account(credential).name, client, jobs)
