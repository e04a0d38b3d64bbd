"""One request's way from its bytes to its commit, whichever protocol brought it."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self

from otel_kpi.dev.intake import ClosedError, FullError
from otel_kpi.dev.receiver.status import (
    INTERNAL,
    INVALID_ARGUMENT,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    Form,
    RefusedError,
    Status,
)
from otel_kpi.dev.receiver.unpacking import too_large, unpack
from otel_kpi.dev.store import StoreError
from otel_kpi.dev.telemetry import MalformedError
from otel_kpi.dev.wire import json, protobuf

if TYPE_CHECKING:
    from otel_kpi.dev.intake import Intake
    from otel_kpi.dev.telemetry import Request, Signal

MOST_BYTES: Final = 20 * 2**20
"""Of a body, packed or not; the OpenTelemetry Collector's default is the same."""
ALL_BYTES: Final = 64 * 2**20
"""Of all bodies that are being read or decoded; who comes then is told to come again."""
SECONDS: Final = 30.0
"""A request has so long to arrive as a whole."""
_LATER: Final = 5
"""Seconds after which a sender comes again when nothing can be written: a disk is not emptied in one."""

_logger = logging.getLogger("otel_kpi.dev.receiver")


class Receiver:
    """Takes bodies, has them decoded on a thread of its own and committed, and says what became of them.

    Args:
        intake: Where they go; None where telemetry is shown but not received.
        most_bytes: Of one body.
        all_bytes: Of all that are here.
    """

    def __init__(
        self, intake: Intake | None, *, most_bytes: int = MOST_BYTES, all_bytes: int = ALL_BYTES
    ) -> None:
        self.most_bytes = most_bytes
        self._all = all_bytes
        self._held = 0
        self._intake = intake
        self._taking: set[asyncio.Future[None]] = set()
        # One: the decoders remember what they have seen, and a second would only wait for the interpreter.
        self._decoding = ThreadPoolExecutor(1, "otel-kpi-decoding")

    def close(self) -> None:
        """End the thread; what it has begun is finished."""
        self._decoding.shutdown()

    async def drain(self, seconds: float) -> None:
        """Wait until what is being taken is committed, so long at most."""
        if self._taking:
            await asyncio.wait(self._taking, timeout=seconds)

    def room(self) -> Room:
        """Room for a body that is about to be read."""
        return Room(self)

    async def take(self, signal: Signal, body: bytes, encoding: str, form: Form) -> Request[Any]:
        """Have a body decoded and committed.

        Args:
            signal: By the address to which it was sent.
            body: As it came.
            encoding: How it is packed; see `unpacking`.
            form: How it is written.

        Returns:
            What it was, with how many of it could not be kept.

        Raises:
            RefusedError: It was not taken; nothing of it is kept.
        """
        if self._intake is None:
            raise RefusedError(
                Status(UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE, "telemetry is shown here, not received")
            )
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[None] = loop.create_future()
        self._taking.add(taken)
        try:
            request = await loop.run_in_executor(
                self._decoding, _decode, signal, body, encoding, form, self.most_bytes
            )
            await self._submit(request)
        except (RefusedError, asyncio.CancelledError):
            raise
        except MalformedError as error:
            raise _malformed(error) from None
        except Exception as error:
            # Not the sender's fault; a sender that came again would only meet it again.
            _logger.exception("a request of %s could not be taken", signal)
            message = f"{type(error).__name__} in the receiver"
            raise RefusedError(Status(INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR, message)) from None
        finally:
            self._taking.discard(taken)
            taken.set_result(None)
        return request

    async def _submit(self, request: Request[Any]) -> None:
        assert self._intake is not None  # noqa: S101 - `take` has looked
        try:
            await self._intake.submit(request)
        except MalformedError as error:
            raise _malformed(error, counted=True) from None
        except FullError as error:
            raise _full(error.retry_after, counted=True) from None
        except (ClosedError, StoreError, OSError) as error:
            message = str(error) or "the receiver is about to end"
            status = Status(UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE, message, _LATER)
            raise RefusedError(status, counted=True) from None

    def refused(self, signal: Signal, refused: RefusedError) -> None:
        """Count a request that was not taken, unless the intake has done so."""
        if refused.counted or self._intake is None:
            return
        status = refused.status
        if status.code == INTERNAL:
            outcome = "failed"
        else:
            outcome = "malformed" if status.retry_after is None else "refused"
        self._intake.count(signal, outcome, 1, status.text)

    def hold(self, size: int) -> None:
        """Count bytes that are here.

        Raises:
            RefusedError: There are too many.
        """
        if self._held + size > self._all:
            raise _full(FullError.retry_after)
        self._held += size

    def release(self, size: int) -> None:
        """Count bytes that are no longer here."""
        self._held -= size


class Room:
    """The bytes of one body, counted among all while it is here: `with receiver.room() as room`."""

    __slots__ = ("_receiver", "_size")

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def add(self, size: int) -> None:
        """Make room for so many bytes more.

        Raises:
            RefusedError: The body is too large, or there is no room at present.
        """
        if self._size + size > self._receiver.most_bytes:
            raise too_large(self._receiver.most_bytes)
        self._receiver.hold(size)
        self._size += size

    def leave(self) -> None:
        """The body is gone."""
        self._receiver.release(self._size)
        self._size = 0


def _decode(signal: Signal, body: bytes, encoding: str, form: Form, most: int) -> Request[Any]:
    unpacked = unpack(body, encoding, most)
    return (json if form == "json" else protobuf).decode(signal, unpacked)


def _full(retry_after: int, *, counted: bool = False) -> RefusedError:
    message = "more is waiting to be written than fits; come again"
    status = Status(RESOURCE_EXHAUSTED, HTTPStatus.TOO_MANY_REQUESTS, message, retry_after)
    return RefusedError(status, counted=counted)


def _malformed(error: MalformedError, *, counted: bool = False) -> RefusedError:
    status = Status(INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST, str(error) or "the request is malformed")
    return RefusedError(status, counted=counted)
