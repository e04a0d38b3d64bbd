"""What the base client of `openai` and `anthropic` knows of a call: attempts, rate limits, the answer as it came."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import stainless as base_client
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.llm import underway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from otel_kpi.instrumentation.llm.underway import Seen

    Read = Callable[[Any, Mapping[str, Any]], None]

_logger: Final = logging.getLogger("otel_kpi.instrumentation")
_LIMITS: Final = (b"x-ratelimit-", b"anthropic-ratelimit-")
"""How the headers begin that `limits.py` reads."""
_addresses: Final[weakref.WeakKeyDictionary[Any, tuple[Any, str]]] = weakref.WeakKeyDictionary()
"""Of each client, with the object that it was read from."""


class Watcher:
    """Tells the call that is under way what its client says of it.

    Args:
        library: The instrumentor's name, for what goes wrong here.
        read: Given the JSON of an answer, or of each event of its stream.
        paths: How the paths of requests end whose answers have a usage. Others may be sent inside of a call: a
            framework that moderates what it was told, or fetches an answer that was paid for.
    """

    def __init__(self, library: str, read: Read, paths: tuple[str, ...]) -> None:
        self._read = read
        self._paths = paths
        self._boundary = Boundary(library)

    def retried(self, status: str, wait: float) -> None:
        """Note an attempt that is made again after `wait` seconds."""
        if (seen := underway.current()) is not None:
            seen.retried(status, wait)

    def failed(self, response: Any) -> None:
        """Take the rate limits of an answer that is an error."""
        if (seen := underway.current()) is not None:
            _take_limits(seen, response)

    def answered(self, client: Any, response: Any, options: Any, *, stream: bool) -> Any:  # noqa: ARG002 - as it is called
        """Take the rate limits, the address and the tier that was asked for; give the call, a `Seen`, or None."""
        seen = underway.current()
        if seen is None or not self._boundary.open:
            return None
        _take_limits(seen, response)
        # The client's own description: reading the address of the request takes longer than all of this.
        if options.method.lower() != "post":
            return None
        url: str = options.url
        if not url.endswith(self._paths) and not url.partition("?")[0].endswith(self._paths):
            return None
        seen.endpoint = _address_of(client)
        asked = options.json_data
        tier = asked.get("service_tier") if isinstance(asked, dict) else None
        if isinstance(tier, str) and tier != "auto":
            # Of the request, until the answer says which it was.
            seen.tier = tier
        return seen

    def made(self, kept: Any, response: Any, result: Any, *, stream: bool) -> None:
        """Do something with what the client made of an answer, when it gives it to its caller."""

    def data(self, kept: Any, data: Mapping[str, Any]) -> None:
        """Read an answer, or an event of its stream."""
        self._read(kept, data)

    def broken(self, error: Exception) -> None:
        """Count an error of ours."""
        self._boundary.failed(error)


def watch(module: ModuleType, watcher: Watcher) -> None:
    """Have the base client of an SDK tell of its requests; what this version has no place for is one line."""
    missing = base_client.watch_base_client(module, watcher)
    if missing:
        _logger.warning(
            "%s has changed: %s is not there, and nothing of it known", module.__name__, ", ".join(missing)
        )


def _take_limits(seen: Seen, response: Any) -> None:
    """Take the headers of rate limits; those of an earlier answer stay where this one has none."""
    limits = [pair for pair in response.headers.raw if pair[0].lower().startswith(_LIMITS)]
    if limits:
        seen.limited(limits)


def _address_of(client: Any) -> str:
    """The address that a client calls, without what someone may have put before the host."""
    url = client.base_url
    known = _addresses.get(client)
    if known is not None and known[0] is url:
        return known[1]
    port = "" if url.port is None else f":{url.port}"
    address = f"{url.scheme}://{url.host}{port}{url.path}"
    _addresses[client] = (url, address)
    return address
