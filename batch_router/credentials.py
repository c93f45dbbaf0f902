"""API keys by name, from the environment or a file: only the name travels.

The key `team-a` of OpenAI is the variable `OPENAI_API_KEY_TEAM_A`, or in the file that BATCH_ROUTER_CREDENTIALS names:

    [team-a]
    openai = "sk-..."

A name has no `_` and no upper-case letters, so that no two names are one variable.
"""

import os
import tomllib
from pathlib import Path

from .exceptions import CredentialsError, ValidationError
from .providers import Provider
from .security.files import read_private

_LONGEST = 1 << 20  # bytes of the file


def find_key(provider: type[Provider], name: str, file: Path | None) -> str:
    """The provider's key of that name, as it stands now.

    Raises:
        CredentialsError: there is none, or the file is another user's or may be read by others.
    """
    variables = [f"{variable}_{name.upper().replace('-', '_')}" for variable in provider.key_variables]
    key = next(filter(None, map(os.environ.get, variables)), None) or _from_file(provider.name, name, file)
    if not key:
        raise CredentialsError(
            provider.name,
            0,
            f"no key named {name!r}: where the workers run, set {' or '.join(variables)}, or write "
            f"{provider.name} = ... below [{name}] in the file that BATCH_ROUTER_CREDENTIALS names",
        )
    return key


def may_have_key(provider: type[Provider], file: Path | None) -> bool:
    """Whether this process can call a provider: a variable or a file may have a key of any name, or none is needed."""
    return (
        file is not None
        or not provider.key_variables
        or any(name.startswith(provider.key_variables) for name in os.environ)
    )


def _from_file(provider: str, name: str, file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        keys = tomllib.loads(read_private(file, _LONGEST).decode()).get(name)
    except FileNotFoundError as error:
        raise CredentialsError(provider, 0, f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise CredentialsError(provider, 0, str(error)) from error
    except (ValueError, RecursionError):  # their words may quote a key, and so may the trace
        raise CredentialsError(provider, 0, f"{file} is not a TOML file") from None
    key = keys.get(provider) if isinstance(keys, dict) else None
    return key if isinstance(key, str) else None
