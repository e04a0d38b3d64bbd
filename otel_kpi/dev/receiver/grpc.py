"""OTLP over gRPC, on `h2`: the three `Export` calls, on any number of streams of any number of connections.

https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error, StreamClosedError
from h2.settings import SettingCodes

from otel_kpi.dev.receiver import calls
from otel_kpi.dev.receiver.status import (
    DEADLINE_EXCEEDED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    RefusedError,
    Status,
    accepted,
)
from otel_kpi.dev.receiver.taking import SECONDS
from otel_kpi.dev.receiver.unpacking import check
from otel_kpi.dev.security import authorized

if TYPE_CHECKING:
    from h2.events import Event

    from otel_kpi.dev.receiver.taking import Receiver, Room

WINDOW: Final = 2**20
"""Bytes that a stream may send ahead; the protocol's own default of 64 kB costs a round trip for each."""
_CONNECTION_WINDOW: Final = 8 * WINDOW
_DEFAULT_WINDOW: Final = 2**16 - 1
STREAMS: Final = 128
"""Calls at once on a connection."""
KEPT_SECONDS: Final = 75.0
"""A connection on which no call begins is kept so long; clients of gRPC connect again by themselves."""
RESETS: Final = 200
"""Calls that a client may begin and drop, beyond those that it let end: CVE-2023-44487."""

_logger = logging.getLogger("otel_kpi.dev.receiver")


@dataclass(slots=True)
class _Call:
    """A stream whose request is not complete, or not answered."""

    path: str
    encoding: str
    room: Room
    deadline: asyncio.TimerHandle
    body: bytearray = field(default_factory=bytearray)
    task: asyncio.Task[None] | None = None


class Http2(asyncio.Protocol):
    """A connection that speaks HTTP/2.

    Args:
        receiver: Takes what comes.
        connections: Those that are open, this one among them while it is.
        token: What each call must carry as `authorization: Bearer <token>`; empty asks for nothing.
    """

    def __init__(self, receiver: Receiver, connections: set[Http2], token: str = "") -> None:
        self._receiver = receiver
        self._connections = connections
        self._token = token
        self._h2 = H2Connection(H2Configuration(client_side=False))
        self._calls: dict[int, _Call] = {}
        self._unsent: dict[int, bytearray] = {}
        self._credit = RESETS
        self._closing = False
        self._idle: asyncio.TimerHandle | None = None

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Announce how much may be sent."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._wait_for_a_call()
        self._h2.initiate_connection()
        self._h2.update_settings(
            {SettingCodes.INITIAL_WINDOW_SIZE: WINDOW, SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS}
        )
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW - _DEFAULT_WINDOW)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio has it
        """Forget what is not complete; what is complete is committed all the same."""
        self._connections.discard(self)
        if self._idle is not None:
            self._idle.cancel()
        for number in list(self._calls):
            self._forget(number)

    def pause_writing(self) -> None:
        """The client does not read; then nothing is read of it either, for each of its frames may ask for one."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        try:
            events = self._h2.receive_data(data)
            for event in events:
                self._handle(event)
        except H2Error as error:
            _logger.debug("a connection broke HTTP/2: %s", error)
            self._flush()  # h2 has written why
            self._transport.close()
            return
        self._flush()

    def _flush(self) -> None:
        if (data := self._h2.data_to_send()) and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Take no more calls, and end with the last of those that are under way."""
        self._closing = True
        if not self._calls and not self._transport.is_closing():
            self._end(ErrorCodes.NO_ERROR)

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def _wait_for_a_call(self) -> None:
        """End the connection unless a call begins in time: pings, and headers that never end, keep nobody's place."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self._calls:
            self._wait_for_a_call()
        elif self._unsent:  # whoever reads no answer is not asked to say farewell
            self.abort()
        else:
            self._end(ErrorCodes.NO_ERROR)

    def _end(self, code: ErrorCodes) -> None:
        self._h2.close_connection(code)
        self._flush()
        self._transport.close()

    # --- calls

    def _handle(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._data(event)
        elif isinstance(event, RequestReceived):
            self._begin(event)
        elif isinstance(event, StreamEnded):
            self._complete(event.stream_id)
        elif isinstance(event, StreamReset):
            self._reset(event.stream_id)
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            for number in list(self._unsent):
                self._continue(number)
        elif isinstance(event, ConnectionTerminated):
            self._transport.close()

    def _begin(self, event: RequestReceived) -> None:
        number = event.stream_id
        self._wait_for_a_call()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        path = headers.get(":path", "")
        if headers.get(":method") != "POST":
            self._not_grpc(number, HTTPStatus.METHOD_NOT_ALLOWED, "gRPC is spoken here, and HTTP/1.1")
            return
        if not headers.get("content-type", "").startswith("application/grpc"):
            self._not_grpc(number, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "gRPC is spoken here; HTTP as HTTP/1.1")
            return
        encoding = headers.get("grpc-encoding", "").strip().lower()
        try:
            self._admit(path, headers.get("authorization", ""))
            check(encoding)
        except RefusedError as refused:
            self._refuse(number, path, refused)
            return
        room = self._receiver.room()
        deadline = asyncio.get_running_loop().call_later(SECONDS, self._too_slow, number)
        self._calls[number] = _Call(path, encoding, room, deadline)

    def _admit(self, path: str, authorization: str) -> None:
        if self._closing:
            raise _refused(UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE, "the receiver is about to end")
        if self._token and not authorized(authorization, self._token):
            message = "the token is missing: authorization: Bearer <token>"
            raise _refused(UNAUTHENTICATED, HTTPStatus.UNAUTHORIZED, message)
        if path not in calls.EXPORTS and path != calls.HEALTH:
            raise _refused(UNIMPLEMENTED, HTTPStatus.NOT_FOUND, f"{path[:200]} is not answered here")

    def _data(self, event: DataReceived) -> None:
        number = event.stream_id
        # At once: what may be held is bounded by the room of the calls, not by the windows.
        self._h2.acknowledge_received_data(event.flow_controlled_length, number)
        call = self._calls.get(number)
        if call is None or call.task is not None:
            return
        try:
            call.room.add(len(event.data))
        except RefusedError as refused:
            self._refuse(number, call.path, refused)
        else:
            call.body += event.data

    def _complete(self, number: int) -> None:
        call = self._calls.get(number)
        if call is not None and call.task is None:
            call.deadline.cancel()
            call.task = asyncio.get_running_loop().create_task(self._answer(number, call))

    async def _answer(self, number: int, call: _Call) -> None:
        try:
            body, encoding = calls.message(call.body, call.encoding)
            if call.path == calls.HEALTH:
                content = calls.SERVING
            else:
                taken = await self._receiver.take(calls.EXPORTS[call.path], body, encoding, "protobuf")
                content = accepted(taken, "protobuf")
        except RefusedError as refused:
            self._refuse(number, call.path, refused)
        else:
            self._succeed(number, content)
        finally:
            self._forget(number)
            if self._closing:
                self.close()

    def _succeed(self, number: int, content: bytes) -> None:
        if self._transport.is_closing() or number not in self._calls:
            return
        self._credit = min(self._credit + 1, RESETS)
        try:
            self._h2.send_headers(number, calls.begin())
            self._unsent[number] = bytearray(calls.framed(content))
            self._continue(number)
        except H2Error:
            self._unsent.pop(number, None)
        self._flush()

    def _continue(self, number: int) -> None:
        """Send of an answer what the client's windows let through, and the end after it."""
        unsent = self._unsent[number]
        try:
            while unsent and (room := self._window(number)) > 0:
                self._h2.send_data(number, bytes(unsent[:room]))
                del unsent[:room]
            if not unsent:
                del self._unsent[number]
                self._h2.send_headers(number, calls.done(), end_stream=True)
        except StreamClosedError:  # while it waited
            self._unsent.pop(number, None)

    def _window(self, number: int) -> int:
        return min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)

    def _refuse(self, number: int, path: str, refused: RefusedError) -> None:
        if (signal := calls.EXPORTS.get(path)) is not None:
            self._receiver.refused(signal, refused)
        self._reply(number, calls.refused(refused.status), b"")

    def _not_grpc(self, number: int, status: HTTPStatus, text: str) -> None:
        self._reply(number, calls.not_grpc(status), f"{text}\n".encode())

    def _reply(self, number: int, headers: calls.Headers, body: bytes) -> None:
        """Answer without reading what else the stream may carry."""
        call = self._calls.get(number)
        complete = call is not None and call.task is not None
        self._forget(number)
        if self._transport.is_closing():
            return
        try:
            self._h2.send_headers(number, headers, end_stream=not body)
            if body:
                self._h2.send_data(number, body[: max(self._window(number), 0)], end_stream=True)
            if not complete:
                # The client may still be sending, and is told that nobody listens (RFC 9113, 8.1).
                self._h2.reset_stream(number, ErrorCodes.NO_ERROR)
        except H2Error as error:
            _logger.debug("an answer could not be sent: %s", error)
        self._flush()

    def _reset(self, number: int) -> None:
        self._forget(number)
        self._unsent.pop(number, None)
        self._credit -= 1
        if self._credit < 0:
            self._end(ErrorCodes.ENHANCE_YOUR_CALM)

    def _too_slow(self, number: int) -> None:
        message = f"the request took longer than {SECONDS:.0f} s"
        refused = _refused(DEADLINE_EXCEEDED, HTTPStatus.REQUEST_TIMEOUT, message)
        self._refuse(number, self._calls[number].path, refused)

    def _forget(self, number: int) -> None:
        if (call := self._calls.pop(number, None)) is not None:
            call.deadline.cancel()
            call.room.leave()


def _refused(code: int, http: HTTPStatus, message: str) -> RefusedError:
    return RefusedError(Status(code, http, message))
