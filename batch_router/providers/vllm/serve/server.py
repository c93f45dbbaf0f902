"""Where rows are sent: the contract of a server, and a server that runs elsewhere."""

from typing import Protocol

import httpx2

from ....exceptions import CredentialsError, ProviderUnavailableError
from ....security.masking import mask_url
from ....security.printable import printable
from ..._http.address import Address
from ..._http.transport import open_client
from ..control import JobControl
from ..errors import NAME, ModelNotFoundError

CONNECT_WITHIN = 10.0
# Characters of the list of a server's models that an error shows.
_SHOWN = 300


class Server(Protocol):
    """A server that answers rows.

    Attributes:
        key: the API key that it asks for, if any.
        trust_env: whether the environment's proxies are between it and us.
    """

    key: str | None
    trust_env: bool

    def wait_until_ready(self, control: JobControl) -> str | None:
        """Wait until it answers; the URL below which `/v1/...` is, or None if the job must end before that.

        Raises:
            ProviderAPIError: it does not come up, or refuses us.
        """

    def explain_breakdown(self) -> ProviderUnavailableError | None:
        """After a lost connection: why the job cannot continue here; None: it can, and a row may be to blame."""

    def stop(self) -> None:
        """Stop answering, if it is ours: the job ends here."""


class RemoteServer:
    """A server that runs elsewhere, and that we neither start nor stop.

    Args:
        url: where it is, with or without `/v1`.
        key: the API key that it asks for, if any.
        model: the name of the model that it must have.
    """

    def __init__(self, url: str, key: str | None, model: str) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self._address = Address(NAME, self._url)
        self._shown = mask_url(self._url)
        self.key = key
        self.trust_env = True
        self._model = model

    def wait_until_ready(self, control: JobControl) -> str | None:  # noqa: ARG002 - it is there, or it is not
        """See `Server.wait_until_ready`."""
        try:
            status, models = self._ask_for_models()
        except (httpx2.HTTPError, ValueError, KeyError, TypeError, RecursionError) as error:
            message = f"no vLLM answers at {self._shown}: {type(error).__name__}"
            raise ProviderUnavailableError(NAME, 0, message) from error
        if status in (401, 403):
            raise CredentialsError(NAME, status, f"{self._shown} refuses the key: set VLLM_API_KEY")
        if models is None:
            raise ProviderUnavailableError(NAME, status, f"{self._shown} does not list its models")
        if self._model not in models:
            served = printable(", ".join(models), _SHOWN)
            raise ModelNotFoundError(NAME, 0, f"{self._shown} has no model {self._model!r}; it has {served}")
        return self._url

    def _ask_for_models(self) -> tuple[int, list[str] | None]:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        with open_client(self._address, timeout=CONNECT_WITHIN) as http:
            answer = http.get("v1/models", headers=headers)
            models = [str(model["id"]) for model in answer.json()["data"]] if answer.is_success else None
            return answer.status_code, models

    def explain_breakdown(self) -> ProviderUnavailableError | None:
        """See `Server.explain_breakdown`."""
        return ProviderUnavailableError(NAME, 0, f"the connection to {self._shown} was lost")

    def stop(self) -> None:
        """Nothing: it is not ours."""
