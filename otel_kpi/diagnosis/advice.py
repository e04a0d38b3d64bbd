"""Why a round trip failed, and what to type: the receiver's words, and a look at who is at the port."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from otel_kpi.diagnosis.report import Finding

if TYPE_CHECKING:
    from otel_kpi.diagnosis.report import Trip

Speaker = Literal["http", "grpc", "tls", "nobody", "unknown host", "silent"]

_PATIENCE = 2.0  # seconds for a port to show what it speaks
_SETTINGS = 4  # type of HTTP/2's first frame
_GOAWAY = 7
_ALERT = b"\x15\x03"  # the first bytes of TLS' refusal

_NOUNS = {"traces": "spans", "metrics": "metrics", "logs": "log records", "errors": "errors"}


def findings_of(trips: tuple[Trip, ...]) -> list[Finding]:
    """One finding for each destination and reason, whatever the number of signals."""
    groups: dict[tuple[str, str, str, str], list[Trip]] = {}
    for trip in trips:
        if trip.answer in {"refused", "failed", "partial"}:
            groups.setdefault((_origin(trip), trip.protocol, trip.answer, trip.reason), []).append(trip)
    findings: list[Finding] = []
    for (origin, _, answer, reason), group in groups.items():
        nouns = ", ".join(_NOUNS[trip.signal] for trip in group)
        verb = (
            "refuses"
            if answer == "refused"
            else "refuses a part of the"
            if answer == "partial"
            else "does not take"
        )
        findings.append(Finding("error", f"{origin} {verb} {nouns}: {reason}", advice(group[0])))
    return findings


def advice(trip: Trip) -> str:
    """What to type."""
    words = trip.reason.lower()
    if trip.signal == "errors":
        return _sentry_advice(trip)
    if "pip install" in words:
        return ""
    if any(word in words for word in ("401", "403", "407", "unauthenticated", "permission_denied")):
        return (
            "the receiver wants other credentials: "
            "export OTEL_EXPORTER_OTLP_HEADERS='authorization=Basic%20…' (percent-encoded)"
        )
    if "certificate refused" in words or "certificate_verify_failed" in words:
        return (
            "name the authority that signed the receiver's certificate: "
            "export OTEL_EXPORTER_OTLP_CERTIFICATE=/path/to/ca.pem"
        )
    parts = urlsplit(trip.destination)
    speaker = who_is_there(trip.destination)
    return _by_speaker(trip, speaker, f"{parts.hostname}:{parts.port or _port(parts.scheme)}") or _by_status(
        words
    )


def _by_speaker(trip: Trip, speaker: Speaker, place: str) -> str:
    secure, is_grpc = trip.destination.startswith("https"), trip.protocol == "grpc"
    endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
    cases = (
        (
            speaker == "unknown host",
            f"the name {place.rpartition(':')[0]!r} is not known here; see {endpoint}",
        ),
        (
            speaker == "nobody",
            (
                f"nothing listens at {place}: start a Collector there (here: otel-kpi stack up), "
                f"or export {endpoint}=http://…"
            ),
        ),
        (speaker == "tls" and not secure, f"{place} speaks TLS: write https:// in {endpoint}"),
        (
            secure and speaker in {"http", "grpc"},
            f"{place} speaks no TLS: write http:// in {endpoint}",
        ),
        (
            speaker == "grpc" and not is_grpc,
            (
                f"{place} speaks gRPC, not HTTP: export OTEL_EXPORTER_OTLP_PROTOCOL=grpc, "
                "or use the port for HTTP (4318)"
            ),
        ),
        (
            speaker == "http" and is_grpc,
            (
                f"{place} speaks HTTP, not gRPC: export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, "
                "or use the port for gRPC (4317)"
            ),
        ),
        (
            speaker == "silent" and "timed out" in trip.reason,
            f"{place} takes connections and says nothing: a firewall, a proxy, or another kind of server",
        ),
    )
    return next((text for holds, text in cases if holds), "")


def _by_status(words: str) -> str:
    if words.startswith(("404", "405", "unimplemented")):
        return (
            "OTLP is not served at this path: OTEL_EXPORTER_OTLP_ENDPOINT is the base without /v1/traces; "
            "the variable of one signal is used as it is"
        )
    if words.startswith("415"):
        return "the receiver wants another encoding: export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
    if words.startswith("413"):
        return "requests are too large for it: export OTEL_BSP_MAX_EXPORT_BATCH_SIZE=128"
    if words.startswith(("429", "502", "503", "504", "unavailable", "resource_exhausted")):
        return "the receiver is there and has no room now; what fits in the queues is sent later"
    return "see what the receiver logs"


def _sentry_advice(trip: Trip) -> str:
    if trip.reason.startswith(("401", "403")):
        return "the key in SENTRY_DSN is not one of this project; copy the DSN from the project's settings"
    if trip.reason.startswith("404"):
        return "there is no such project at this address; copy the DSN from the project's settings"
    if trip.destination == "SENTRY_DSN":
        return "a DSN looks like https://<key>@<host>/<project number>"
    return "see whether the host in SENTRY_DSN can be reached from here"


def who_is_there(address: str) -> Speaker:
    """Connect to the port of an address and see what it speaks; never raises."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or _port(parts.scheme)
    try:
        with socket.create_connection((host, port), _PATIENCE) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return _speaker(_read(connection), address)
    except socket.gaierror:
        return "unknown host"
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "nobody"
    except OSError:
        # It was there and hung up on plain words, as some servers of TLS do.
        return "tls" if _shakes_hands(host, port) else "silent"


def _read(connection: socket.socket) -> bytes:
    found = b""
    while len(found) < 512:  # noqa: PLR2004 - a status line and some of a body
        try:
            more = connection.recv(512)
        except (TimeoutError, ConnectionError):
            break
        if not more:
            break
        found += more
    return found


def _speaker(found: bytes, address: str) -> Speaker:
    if found.startswith(b"HTTP/1."):
        return "tls" if b"HTTPS server" in found or b"SSL-enabled server" in found else "http"
    if len(found) > 3 and found[3] in {_SETTINGS, _GOAWAY} and found[0] == 0:  # noqa: PLR2004 - the frame's type
        return "grpc"
    parts = urlsplit(address)
    if found.startswith(_ALERT) or _shakes_hands(parts.hostname or "", parts.port or _port(parts.scheme)):
        return "tls"
    return "silent"


def _shakes_hands(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only to see whether TLS is spoken; nothing is sent
    try:
        with (
            socket.create_connection((host, port), _PATIENCE) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except OSError:
        return False


def _origin(trip: Trip) -> str:
    parts = urlsplit(trip.destination)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else trip.destination


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
