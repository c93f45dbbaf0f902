"""The one place that reads what comes from the broker. Everything there may be another's, broken or hostile.

A reader takes the bytes that Redis gave and returns the bytes that kombu and Celery get: a message that is made here,
of the few parts that were read and found to be as we send them. Whatever else the bytes held is gone: headers that
start a decompression, limit a task's time, name a place to reply to or a task to call next.

    tasks     in our queues: a step's, or a batch that another app submits
    control   remote control, and the answers to it
    events    what workers tell Flower

A reader raises `Refused` for all that it does not take. Its reason is one of our words and never a part of the message.
"""

from .envelope import Refused, bounds
from .reading import read_published, read_queued, read_unacked
from .submission import read_submission

__all__ = ["Refused", "bounds", "read_published", "read_queued", "read_submission", "read_unacked"]
