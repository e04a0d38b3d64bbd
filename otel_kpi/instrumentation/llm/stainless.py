"""What the base client of `openai` and `anthropic` knows of a call: attempts, rate limits, the answer as it came."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import stainless as base_client
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.llm import underway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    Read = Callable[[Any, Mapping[str, Any]], None]

_logger: Final = logging.getLogger("otel_kpi.instrumentation")


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
            seen.limited(response.headers)

    def answered(self, client: Any, response: Any, options: Any, *, stream: bool) -> Any:  # noqa: ARG002 - as it is called
        """Take the rate limits, the address and the tier that was asked for; give the call, a `Seen`, or None."""
        seen = underway.current()
        if seen is None or not self._boundary.open:
            return None
        seen.limited(response.headers)
        request = response.request
        if request.method != "POST" or not request.url.path.endswith(self._paths):
            return None
        seen.endpoint = _address(client.base_url)
        asked = getattr(options, "json_data", None)
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


def _address(url: Any) -> str:
    """The address that a client calls, without what someone may have put before the host."""
    port = "" if url.port is None else f":{url.port}"
    return f"{url.scheme}://{url.host}{port}{url.path}"
