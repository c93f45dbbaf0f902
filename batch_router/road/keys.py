"""A key that was replaced: by another one of the same account, as happens now and then, or by another account's."""

from ..state.items import Shard
from .context import Context


def is_replaced(context: Context, shard: Shard) -> bool:
    """Whether the shard's calls go with another key than the one that its job was created with, or was to be.

    Then a job that the provider does not know may be another account's. The key is read again next time.
    """
    if shard.account is None or context.client_of(shard).access.has_key_of(shard.account):
        return False
    context.clients.forget(shard.provider, shard.credential)
    return True


def why_replaced(shard: Shard) -> str:
    """The sentence for the operator, whose end says what to do then."""
    name = "the workers' own key" if shard.credential is None else f"the key {shard.credential!r}"
    return (
        f"{name} is not the one that the job was created with: it was replaced by another account's. Set the old one "
        "again where the workers run; then"
    )
