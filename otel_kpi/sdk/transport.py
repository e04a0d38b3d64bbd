"""Sends one request to a receiver and says what became of it, in a line that a person can act on.

A transport never raises and never waits beyond the deadline that it was given. What it is told about a
receiver it turns into three words: accepted, retry (the receiver may take it later), rejected (it never will).
"""

from __future__ import annotations

import logging
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_kpi import _compat
from otel_kpi._version import __version__

if TYPE_CHECKING:
    import urllib3
    from urllib3 import BaseHTTPResponse

    from otel_kpi.sdk.transport_connection import Deadline

_logger = logging.getLogger("otel_kpi.export")

USER_AGENT = f"OTel-OTLP-Exporter-Python-otel-kpi/{__version__}"

GZIP_FROM = 1024  # bytes; below, compressing costs more than it saves
_GZIP_LEVEL = 5

MAX_RESPONSE = 64 * 1024  # bytes
MAX_RETRY_AFTER = 300.0  # seconds
_MAX_SAID = 200  # characters of a receiver's own words

_RETRY = frozenset({429, 502, 503, 504})  # https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
_SECRET = frozenset({401, 403, 407})  # answers that may quote a credential

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_OURS = frozenset(
    {"content-type", "content-encoding", "content-length", "transfer-encoding", "host", "connection"}
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one signal goes.

    Attributes:
        url: The whole address, with the signal's path.
        headers: Sent with each request.
        timeout: Longest time of one request, in seconds.
        gzip: ``auto`` compresses from 1 kB when the receiver is not on this machine.
        certificate: File of the authorities that are trusted in place of the system's.
        client_key: File of the client's private key.
        client_certificate: File of the client's certificate.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 10.0
    gzip: Literal["auto", "always", "never"] = "auto"
    certificate: str | None = None
    client_key: str | None = None
    client_certificate: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    Attributes:
        kind: ``accepted``, ``retry`` (the receiver may take it later) or ``rejected`` (it never will).
        status: HTTP status, when there was one.
        retry_after: Seconds that the receiver asked to wait; at most 300.
        reason: One short line for a person; never contains the value of a header.
        body: What the receiver answered; at most 64 kB.
    """

    kind: Literal["accepted", "retry", "rejected"]
    status: int | None = None
    retry_after: float | None = None
    reason: str = ""
    body: bytes = b""


class Transport:
    """One persistent connection to one origin, shared by the signals that go there.

    Not for several threads: one worker thread sends, ``close`` and ``abandon`` come after it.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._managers: dict[tuple[str | None, ...], tuple[urllib3.PoolManager, Deadline]] = {}
        self._headers: dict[Endpoint, dict[str, str | bytes]] = {}

    def send(self, endpoint: Endpoint, body: bytes, content_type: str, *, deadline: float) -> Outcome:
        """Send one request; never raises.

        Args:
            endpoint: Where to.
            body: The request, not compressed.
            content_type: Of the request.
            deadline: Seconds of ``time.monotonic``; this and the endpoint's timeout bound the call, whatever
                the receiver does. Only the resolution of the host's name is the operating system's to bound.
        """
        if not _is_address(endpoint.url):
            return Outcome("rejected", reason="the endpoint is not an http or https URL")
        began = time.monotonic()
        until = min(deadline, began + endpoint.timeout)
        try:
            with suppress_instrumentation():
                return self._send(endpoint, body, content_type, until)
        except Exception as error:
            self._forget(endpoint)
            return _failure(error, until - began)

    def close(self) -> None:
        """Close the connection. A request under way still ends by its deadline."""
        managers = list(self._managers.values())
        self._reset()
        for manager, _ in managers:
            try:
                manager.clear()
            except Exception as error:
                _logger.debug("closing a connection failed: %s", type(error).__name__)

    def abandon(self) -> None:
        """In a forked child: let go of the connection, which is the parent's, without a word to the server.

        No lock is taken, since a thread of the parent may have held it; TLS says no goodbye.
        """
        managers = list(self._managers.values())
        self._reset()
        for manager, deadline in managers:
            _compat.abandon_pools(manager)
            sock = deadline.socket
            if sock is not None:
                try:
                    os.close(sock.detach())
                except OSError:
                    pass  # it was closed before the fork

    def _send(self, endpoint: Endpoint, body: bytes, content_type: str, until: float) -> Outcome:
        from otel_kpi.sdk.transport_connection import post

        manager, deadline = self._manager(endpoint)
        headers = {**self._endpoint_headers(endpoint), "Content-Type": content_type}
        if _compress(endpoint, body):
            from zlib import compressobj

            compressor = compressobj(_GZIP_LEVEL, wbits=31)
            body = compressor.compress(body) + compressor.flush()
            headers["Content-Encoding"] = "gzip"
        deadline.at = until
        connections = deadline.connections
        try:
            response = post(manager, endpoint.url, body, headers, deadline)
        except Exception as error:
            reused = connections > 0 and deadline.connections == connections
            if not reused or _is_timeout(error):
                raise
            # The server had closed the idle connection: no outage, a fresh connection will do.
            response = post(manager, endpoint.url, body, headers, deadline)
        return _outcome(endpoint, response)

    def _manager(self, endpoint: Endpoint) -> tuple[urllib3.PoolManager, Deadline]:
        key = _connection_key(endpoint)
        known = self._managers.get(key)
        if known is None:
            from otel_kpi.sdk.transport_connection import Deadline, connection_manager

            deadline = Deadline()
            manager = connection_manager(
                endpoint.url, deadline, endpoint.certificate, endpoint.client_key, endpoint.client_certificate
            )
            known = self._managers[key] = (manager, deadline)
        return known

    def _forget(self, endpoint: Endpoint) -> None:
        """After a failure begin anew, also with the certificate files: they may have been renewed."""
        known = self._managers.pop(_connection_key(endpoint), None)
        if known is not None:
            try:
                known[0].clear()
            except Exception as error:
                _logger.debug("closing a connection failed: %s", type(error).__name__)

    def _endpoint_headers(self, endpoint: Endpoint) -> dict[str, str | bytes]:
        headers = self._headers.get(endpoint)
        if headers is None:
            headers = self._headers[endpoint] = _headers(endpoint.headers)
        return headers


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _connection_key(endpoint: Endpoint) -> tuple[str | None, ...]:
    parts = urlsplit(endpoint.url)
    return parts.scheme, parts.netloc, endpoint.certificate, endpoint.client_key, endpoint.client_certificate


def _compress(endpoint: Endpoint, body: bytes) -> bool:
    if endpoint.gzip != "auto":
        return endpoint.gzip == "always"
    from otel_kpi.sdk.transport_connection import is_loopback

    return len(body) >= GZIP_FROM and not is_loopback(urlsplit(endpoint.url).hostname or "")


def _headers(given: tuple[tuple[str, str], ...]) -> dict[str, str | bytes]:
    """The headers that HTTP can carry; a line names those that it cannot, without their values."""
    headers: dict[str, str | bytes] = {"User-Agent": USER_AGENT}
    for name, value in given:
        if name.lower() in _OURS:
            _logger.warning("the header %r is not sent: the exporter sets it itself", name)
        elif _HEADER_NAME.fullmatch(name) is None or _HEADER_VALUE.fullmatch(value) is None:
            _logger.warning("the header %r is not sent: its name or value is not one that HTTP allows", name)
        else:
            if name.lower() == "user-agent":
                del headers["User-Agent"]
            headers[name] = value if value.isascii() else value.encode("utf-8", "replace")
    return headers


def _outcome(endpoint: Endpoint, response: BaseHTTPResponse) -> Outcome:
    status = response.status
    body = _body(response)
    if 200 <= status < 300:  # noqa: PLR2004 - the class of statuses that mean success
        return Outcome("accepted", status, body=body)
    reason = f"{status} {_phrase(status)}"
    if 300 <= status < 400:  # noqa: PLR2004 - the class of statuses that mean "elsewhere"
        return Outcome("rejected", status, reason=f"{reason}: redirects are not followed", body=body)
    said = _said(endpoint, status, response.headers.get("Content-Type", ""), body)
    if said:
        reason = f"{reason}: {said}"
    if status in _RETRY:
        return Outcome("retry", status, _retry_after(response.headers.get("Retry-After")), reason, body)
    return Outcome("rejected", status, reason=reason, body=body)


def _body(response: BaseHTTPResponse) -> bytes:
    """The body as far as it came in time: the status has already said what counts."""
    try:
        body = response.read(MAX_RESPONSE + 1)
    except Exception:
        response.close()
        return b""
    if len(body) > MAX_RESPONSE:
        response.close()
        return body[:MAX_RESPONSE]
    response.release_conn()
    return body


def _phrase(status: int) -> str:
    """The standard phrase: the receiver's own may say anything."""
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(not a standard status)"


def _said(endpoint: Endpoint, status: int, content_type: str, body: bytes) -> str:
    """The receiver's explanation, when it has one and does not quote a header."""
    if not body or status in _SECRET:
        return ""
    from otel_kpi.sdk.otlp_response import error_message

    message = error_message(content_type, body)[:_MAX_SAID].strip()
    if any(value and value in message for _, value in endpoint.headers):
        return ""
    return message


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number of them or from a date; ``None`` when it says nothing that can be used."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        seconds = float(value[:9])
    else:
        from email.utils import parsedate_to_datetime

        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return min(seconds, MAX_RETRY_AFTER) if seconds > 0 else None


def _failure(error: Exception, allowed: float) -> Outcome:
    """No answer came: say why, from the error nearest to the cause."""
    from urllib3 import exceptions

    if _is_timeout(error):
        return Outcome("retry", reason=f"timed out after {max(0.0, allowed):.3g} s")
    chain = _causes(error)
    for cause in chain:
        if isinstance(cause, exceptions.LocationParseError):
            return Outcome("rejected", reason="the endpoint is not a URL")
        if isinstance(cause, exceptions.NameResolutionError):
            return Outcome("retry", reason="the host name cannot be resolved")
    proxy = "proxy: " if any(isinstance(cause, exceptions.ProxyError) for cause in chain) else ""
    return Outcome("retry", reason=proxy + _cause(chain))


def _cause(chain: list[BaseException]) -> str:
    import ssl
    from http.client import RemoteDisconnected

    for cause in reversed(chain):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS certificate refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {(cause.reason or 'failed').replace('_', ' ').lower()}"
        if isinstance(cause, (RemoteDisconnected, ConnectionResetError, BrokenPipeError)):
            return "the connection was closed before an answer came"
        if isinstance(cause, OSError) and cause.strerror:
            name = f" ({cause.filename})" if isinstance(cause.filename, str) else ""
            return f"{cause.strerror[:1].lower()}{cause.strerror[1:]}{name}"
    return f"no valid answer ({type(chain[-1]).__name__})"


def _is_timeout(error: BaseException) -> bool:
    from urllib3 import exceptions

    # A refused connection is a NewConnectionError, which urllib3 derives from its timeouts.
    return any(
        isinstance(cause, (TimeoutError, exceptions.TimeoutError))
        and not isinstance(cause, exceptions.NewConnectionError)
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it came from, the root last."""
    chain: list[BaseException] = []
    pending: list[BaseException] = [error]
    while pending:
        current = pending.pop()
        if any(current is known for known in chain):
            continue
        chain.append(current)
        pending += [argument for argument in current.args if isinstance(argument, BaseException)]
        pending += [cause for cause in (current.__cause__, current.__context__) if cause is not None]
    return chain
