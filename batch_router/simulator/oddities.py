"""What is odd in the replies of a service that works: each kind once, seen at a real service where one is named.

An oddity changes a reply that is well-formed otherwise. `seconds` and `looks` say how long it lasts: until both are
over; `inf` seconds never are.
"""

from typing import Literal

from .parts import Calls, Seconds


class Odd(Calls, frozen=True, kw_only=True, tag_field="kind"):
    """Any oddity: with which calls it comes; by default with all."""


class Passing(Odd, frozen=True, kw_only=True):
    """An oddity that passes: it is there for so many seconds and for so many looks."""

    seconds: Seconds = 0
    looks: int = 0


class LateFiles(Passing, frozen=True, kw_only=True, tag="late_files"):
    """A job is shown as ended, and its files are not named yet; the time begins with the first such reply.

    Gemini's `responsesFile` (tidyverse/ellmer, provider-google.R); the ids of OpenAI and `results_url` in the same way.
    """

    file: Literal["output", "error", "any"] = "any"


class EmptyIds(Odd, frozen=True, kw_only=True, tag="empty_ids"):
    """A file that does not exist has the id `""` instead of null (OpenAI's `error_file_id`: tobert/kaibo, PR 93)."""


class Numbers(Odd, frozen=True, kw_only=True, tag="numbers"):
    """Counts and dates of jobs are of another type: dates as text at Novita, counts as text or floats at gateways."""

    counts: Literal["text", "float", "integer"] | None = None
    dates: Literal["text", "float", "integer", "iso"] | None = None


class Words(Odd, frozen=True, kw_only=True, tag="words"):
    """The status of a job in other words: shouted at Together, `canceled`, or one that no description has.

    Attributes:
        words: the service's word and the one shown instead of it.
    """

    words: dict[str, str]


class Wrapped(Odd, frozen=True, kw_only=True, tag="wrapped"):
    """A job is a member of the reply: `job` at Together."""

    key: str = "data"


class Hidden(Passing, frozen=True, kw_only=True, tag="hidden"):
    """A job or a file is answered with 404: a job from its create, a file from when it is named."""

    what: Literal["job", "output", "error"] = "job"


class Listing(Odd, frozen=True, kw_only=True, tag="listing"):
    """The list of jobs lags, or does not repeat what its jobs were labelled with (seen at services like OpenAI's).

    Attributes:
        lag: jobs that are younger are not listed.
        labelled: whether `metadata` or `displayName` is there.
    """

    lag: Seconds = 0
    labelled: bool = True


class Bom(Odd, frozen=True, kw_only=True, tag="bom"):
    """Files begin with a byte order mark."""


class Foreign(Odd, frozen=True, kw_only=True, tag="foreign"):
    """Files have rows that no request asked for.

    Attributes:
        rows: how many have the id of another job's row.
        unnamed: how many have no id.
        doubled: how many are there twice.
    """

    rows: int = 0
    unnamed: int = 0
    doubled: int = 0


class Miscounted(Odd, frozen=True, kw_only=True, tag="miscounted"):
    """The counts of a job do not fit its rows: so many more (or fewer) of them succeeded and failed."""

    succeeded: int = 0
    failed: int = 0


class Elsewhere(Odd, frozen=True, kw_only=True, tag="elsewhere"):
    """The answers' address is on another host: Anthropic's `results_url` behind every gateway."""

    host: str = "https://api.anthropic.com"


AnyOdd = LateFiles | EmptyIds | Numbers | Words | Wrapped | Hidden | Listing | Bom | Foreign | Miscounted | Elsewhere
