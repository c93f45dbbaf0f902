"""How much is measured: `FULL` for figures that count, `SMALL` to see in seconds that every part runs."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """Sizes of a run.

    Attributes:
        rows: rows of the batch whose conversion and normalization are timed.
        parsed: the same of a batch whose answers are checked against a schema.
        runs: pairs of runs per ratio.
        memory: rows of the batches whose memory is compared.
        chats, images: rows per codec.
        image_bytes: the size of each image.
        transfer_rows: rows of 10 kB that go to each provider and back.
        simulated: rows of a job that the simulator answers.
        polled: young jobs at which a worker looks, for `poll_seconds`.
        single_rows: batches of one row whose latency is measured; the first does not count.
    """

    rows: int
    parsed: int
    runs: int
    memory: tuple[int, ...]
    chats: int
    images: int
    image_bytes: int
    transfer_rows: int
    simulated: int
    polled: int
    poll_seconds: float
    single_rows: int


FULL = Sizes(
    rows=200_000,  # four full shards
    parsed=10_000,
    runs=5,
    memory=(10_000, 100_000, 1_000_000),
    chats=20_000,
    images=20,
    image_bytes=4_000_000,
    transfer_rows=19_000,
    simulated=50_000,
    polled=300,
    poll_seconds=10,
    single_rows=6,
)
SMALL = Sizes(
    rows=300,
    parsed=100,
    runs=1,
    memory=(100, 200),
    chats=20,
    images=1,
    image_bytes=4_000,
    transfer_rows=20,
    simulated=300,
    polled=20,
    poll_seconds=2,
    single_rows=2,
)
