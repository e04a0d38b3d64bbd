"""The sockets on which it listens: the standard ports of OTLP, or others where they are taken."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

HTTP_PORT: Final = 4318
"""The standard port of OTLP over HTTP."""
GRPC_PORT: Final = 4317
"""The standard port of OTLP over gRPC; each socket here takes both."""
LOOPBACK: Final = "127.0.0.1"
_TAKEN: Final = (errno.EADDRINUSE, errno.EACCES)
_BACKLOG: Final = 512


@dataclass(frozen=True, slots=True)
class Listening:
    """Sockets that are bound.

    Attributes:
        host: As it stands in an address.
        port: Where everything is.
        grpc_port: The standard port of gRPC, or `port` where that was taken.
        sockets: All of them; none listens yet.
    """

    host: str
    port: int
    grpc_port: int
    sockets: tuple[socket.socket, ...]

    @property
    def address(self) -> str:
        """The page's."""
        return f"http://{self.host}:{self.port}"

    def close(self) -> None:
        """Give them back."""
        for each in self.sockets:
            each.close()


def listen(host: str = LOOPBACK, port: int | None = None) -> Listening:
    """Bind what is to be listened on.

    Args:
        host: A name or an address; on loopback IPv6 is taken, too, where it is free.
        port: None is the standard one, or a free one where that is taken; 0 is a free one.

    Raises:
        OSError: The host is none of this machine, or the port that was asked for is taken.
    """
    if port is None:
        try:
            main = _bound(host, HTTP_PORT)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            main = _free(host)
    else:
        main = _bound(host, port) if port else _free(host)
    sockets = [main]
    bound = int(main.getsockname()[1])
    sockets += _beside(host, bound)
    grpc_port = bound
    if port is None:
        try:
            sockets.append(_bound(host, GRPC_PORT))
        except OSError:
            pass  # whoever has it keeps it; gRPC is spoken on the other port as well
        else:
            grpc_port = GRPC_PORT
            sockets += _beside(host, GRPC_PORT)
    return Listening(_shown(host, main), bound, grpc_port, tuple(sockets))


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches it there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        LOOPBACK if host == "localhost" else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        # What has ended on that port a moment ago does not keep it.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        # Two may bind a port, one may listen: so it is known here who has it.
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _free(host: str) -> socket.socket:
    return _bound(host, 0)


def _beside(host: str, port: int) -> list[socket.socket]:
    """IPv6 of the same port: `localhost` is that for some clients."""
    if host not in (LOOPBACK, "localhost"):
        return []
    try:
        return [_bound("::1", port)]
    except OSError:
        return []


def _shown(host: str, bound: socket.socket) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = _outward() or socket.gethostname()
    elif host == "localhost":
        host = LOOPBACK
    return f"[{host}]" if bound.family == socket.AF_INET6 and ":" in host else host


def _outward() -> str:
    """The address that others know this machine by, as its route to the outside has it; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: an address of nobody
        except OSError:
            return ""
        return str(probe.getsockname()[0])
