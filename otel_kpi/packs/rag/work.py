"""What a query and its stages have in common: a span, a time, and one end, also when an answer is still being told."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace
from opentelemetry.trace import SpanKind

from otel_kpi.packs.blocks import Block
from otel_kpi.packs.faults import failed
from otel_kpi.packs.outcome import error_type, result_of
from otel_kpi.packs.rag import handles
from otel_kpi.packs.spans import mark

if TYPE_CHECKING:
    from typing import Self

    from opentelemetry.context import Context

tracer: Final = trace.get_tracer(handles.SCOPE)


class Work(Block):
    """A piece of work that has a span and ends once.

    A stream holds it open: whoever leaves the block while an answer is still being told has not ended it.
    """

    __slots__ = (
        "_began",
        "_held",
        "_is_left",
        "_is_over",
        "_lock",
        "_noted",
        "_process",
    )

    kind: SpanKind = SpanKind.INTERNAL

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        super().__init__()
        self._began = 0.0
        self._held = 0
        self._is_left = False
        self._is_over = True
        self._lock = threading.RLock()  # a stream may be collected, and so end, while this thread holds it
        self._noted: dict[str, Any] = {}
        self._process = os.getpid()

    # --- what the kinds differ in

    def _name(self) -> str:
        """Of its span."""
        raise NotImplementedError

    def _attributes(self) -> dict[str, Any]:
        """Those that its span has from the start."""
        raise NotImplementedError

    def _placed(self, within: Context) -> Context:
        """The context of its span, with whatever else is to be found there."""
        return within

    def _over(self, seconds: float, result: str) -> None:
        """Record that it is over."""
        raise NotImplementedError

    def begin(self) -> Self:
        """Begin to measure, not yet as what is current."""
        self._reset()
        self._is_over = False
        self._began = time.perf_counter()
        try:
            self._on_begin()
            self._span = tracer.start_span(self._name(), kind=self.kind, attributes=self._attributes())
            self.context = self._placed(trace.set_span_in_context(self._span))
        except Exception as error:
            failed("the beginning of a RAG query", error)
        return self

    def _on_begin(self) -> None:
        """Look around before the span starts."""

    def end(self, error: BaseException | None = None) -> None:
        """End, unless a stream is still being told: then its end is that of this, too. Never raises."""
        with self._lock:
            self._is_left = True
            waits = error is None and self._held > 0
        if waits:
            self.detach()
        else:
            self._finish(error)

    def hold(self) -> None:
        """Stay open until `release`, whoever leaves the block before."""
        with self._lock:
            self._held += 1

    def release(self, error: BaseException | None = None) -> None:
        """Whatever held it open is over."""
        with self._lock:
            self._held -= 1
            is_last = self._is_left and self._held <= 0
        if is_last or error is not None:
            self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
        if self._process != os.getpid():
            self.detach()
            return  # a fork of the process that began it, and will end it
        result = result_of(error)
        before = context.get_current()
        try:
            if self.context is not None:
                context.attach(
                    self.context
                )  # its span is the exemplar of its time, wherever the end is noticed
            self._over(time.perf_counter() - self._began, result)
            if self._span.is_recording():
                self._span.set_attributes(self._noted)
                # Who closes a stream has enough of it; that is no failure.
                if error is not None and result != "success" and not isinstance(error, GeneratorExit):
                    mark(self._span, error_type(error), error)
        except Exception as fault:
            failed("the end of a RAG query", fault)
        finally:
            context.attach(before)
            self.detach()
            self._span.end()
