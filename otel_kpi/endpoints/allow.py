"""Who may ask: everybody, certain networks, or whoever a function lets in."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from otel_kpi.endpoints.catalogue import ENDPOINTS

_logger: Final = logging.getLogger("otel_kpi.endpoints")

_KNOWN: Final = frozenset(each.name for each in ENDPOINTS)
_NAMES: Final = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": (
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
        "fe80::/10",
    ),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        address: Of the other end of the connection, as the server says; None where it has none (a Unix socket).
        headers: Names in lower case.
    """

    address: str | None
    headers: Mapping[str, str]


Allow = Callable[[Caller], bool]
Allowed = str | Iterable[str] | Allow | None


def allow_for(allowed: Allowed | Mapping[str, Allowed], name: str) -> Allow:
    """Give what decides for one endpoint; what cannot be understood lets nobody in, and is one line in the log.

    Args:
        allowed: None for everybody, `"loopback"`, `"private"`, networks (`"10.0.0.0/8"`), a predicate, or one of
            these for each endpoint by its name; `"*"` is for those that have none.
        name: The endpoint's.
    """
    if isinstance(allowed, Mapping):
        unknown = [each for each in allowed if each != "*" and each not in _KNOWN]
        if unknown and name not in allowed and "*" not in allowed:
            # One of them may have been meant for it.
            _logger.warning("nobody may ask for %s: allow= names no endpoint with %r", name, unknown[0])
            return _nobody
        allowed = allowed.get(name, allowed.get("*"))
    if allowed is None:
        return _everybody
    if callable(allowed):
        return _guarded(cast("Allow", allowed))
    try:
        return _networks((allowed,) if isinstance(allowed, str) else tuple(allowed))
    except (TypeError, ValueError) as error:
        _logger.warning("nobody may ask for %s: allow= is not understood (%s)", name, error)
        return _nobody


def _everybody(_caller: Caller) -> bool:
    return True


def _nobody(_caller: Caller) -> bool:
    return False


def _guarded(predicate: Allow) -> Allow:
    def allow(caller: Caller) -> bool:
        try:
            return predicate(caller) is True
        except Exception as error:
            _logger.warning("who may ask could not be decided, so nobody may (%s)", type(error).__name__)
            return False

    return allow


def _networks(texts: tuple[str, ...]) -> Allow:
    networks = [ipaddress.ip_network(each) for text in texts for each in _NAMES.get(text, (text,))]

    def contains(text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in networks)

    def allow(caller: Caller) -> bool:
        # Behind a proxy everybody comes from its address. Each one on the way has to be among them: who writes a
        # header himself can only add to them.
        return (
            caller.address is not None
            and contains(caller.address)
            and all(contains(each) for each in _forwarded(caller.headers))
        )

    return allow


def _forwarded(headers: Mapping[str, Any]) -> list[str]:
    """Give the addresses for which proxies say that they ask."""
    found = [
        each.strip()
        for name in ("x-forwarded-for", "x-real-ip")
        for each in _every(headers, name).split(",")
        if each.strip()
    ]
    for element in _every(headers, "forwarded").replace(";", ",").split(","):
        key, _, value = element.partition("=")
        if key.strip().lower() == "for":
            found.append(_bare(value.strip().strip('"')))
    return found


def _every(headers: Mapping[str, Any], name: str) -> str:
    """Give the values of all headers of a name: a proxy may write one of its own below the caller's."""
    all_of: Callable[[str], list[str]] | None = getattr(headers, "getlist", None)
    return ",".join(all_of(name)) if all_of is not None else headers.get(name, "")


def _bare(node: str) -> str:
    """Give the address of `192.0.2.1:80` and `[2001:db8::1]:80`."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node
