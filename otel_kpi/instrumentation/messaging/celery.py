"""Celery: a PRODUCER span for each message, a CONSUMER span for each execution, by Celery's own signals.

Upstream's instrumentor is replaced. A PRODUCER span of its own ends by the signal after the publication, which is
not sent when the broker refuses, and never for a task that this process does not know (`send_task` by name): the
span stays open and current for as long as the thread lives. It has the names of conventions of 2022, and writes its
debug lines into the worker's log. What its users know stays: the names of spans and of `celery.*` attributes.

An execution is in the trace of its publisher, as its child, and linked to it too: the link is what the messaging
conventions ask for, and remains where a sampler or a store cuts the trace.

That the children of a worker send what they have before they leave is the lifecycle's part. A child that is killed
(a hard time limit, a lack of memory) sends nothing of the task that it ran: the worker's main process, which hears
of it, records the execution.

What Celery asks of its broker on its own account (polls, heartbeats, the publication under a PRODUCER span) has no
spans of the driver's. The application's own code that runs meanwhile, receivers of signals, is out of that silence.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, StatusCode

from otel_kpi import _compat
from otel_kpi._version import __version__
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.messaging.celery_attributes import (
    GETTER,
    broker,
    destination,
    of_message,
    of_metric,
    queue,
)
from otel_kpi.instrumentation.messaging.celery_silence import in_silence, out_of_silence, outside, silenced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.metrics import Histogram
    from opentelemetry.util.types import AttributeValue

_SCOPE: Final = "otel_kpi.instrumentation.celery"
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.40.0"
_PUBLISHING: Final = context.create_key("otel-kpi-celery-publishing")
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; the boundaries that the messaging conventions recommend."""


class _Execution:
    """A task that runs: its span, and how to leave its context."""

    __slots__ = ("attributes", "context", "span", "start", "token")

    def __init__(self, span: trace.Span, parent: Context, attributes: dict[str, AttributeValue]) -> None:
        self.span = span
        self.attributes = attributes
        # A child inherits the silence in which it was forked; its tasks are the application's.
        self.context = trace.set_span_in_context(span, parent)
        self.token = context.attach(self.context)
        self.start = time.perf_counter()


class Instrumentor:
    """Listens to Celery's signals and wraps `Celery.send_task`, which every publication passes."""

    def __init__(self) -> None:
        self._boundary = Boundary("celery")
        self._connected: list[tuple[Any, Callable[..., Any]]] = []
        # By request, of which there is one for each execution, nested and concurrent ones too. An attribute of the
        # request would be in the output of `print(self.request)`.
        self._executions: weakref.WeakKeyDictionary[Any, _Execution] = weakref.WeakKeyDictionary()
        self._lost: weakref.WeakSet[Any] = weakref.WeakSet()
        self._brokers: weakref.WeakKeyDictionary[Any, dict[str, AttributeValue]] = weakref.WeakKeyDictionary()
        self._tracer: trace.Tracer = trace.NoOpTracer()
        self._processing: Histogram | None = None
        self._sending: Histogram | None = None

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether the application called upstream's instrumentor."""
        return _upstream_listens()

    foreign = is_instrumented_by_opentelemetry

    @property
    def errors(self) -> int:
        """Signals and publications whose telemetry was lost to an error of ours."""
        return self._boundary.errors

    def instrument(self, **_options: Any) -> None:
        """Connect to the signals and wrap the method."""
        from celery import signals
        from wrapt import wrap_function_wrapper

        self._tracer = trace.get_tracer(_SCOPE, __version__, schema_url=_SCHEMA)
        meter = metrics.get_meter(_SCOPE, __version__, schema_url=_SCHEMA)
        self._processing = meter.create_histogram(
            "messaging.process.duration",
            unit="s",
            description="Duration of processing operation.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._sending = meter.create_histogram(
            "messaging.client.operation.duration",
            unit="s",
            description="Duration of messaging operation initiated by a producer or consumer client.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        listeners = (
            (signals.before_task_publish, self._before_publish),
            (signals.task_prerun, self._begin),
            (signals.task_retry, self._retry),
            (signals.task_failure, self._failure),
            (signals.task_postrun, self._end),
            (signals.worker_shutting_down, self._shutting_down),
        )
        for sent, listener in listeners:
            guarded = self._boundary.listener(listener)
            sent.connect(guarded, weak=False)
            self._connected.append((sent, guarded))
        for module, cls, method, wrapper in self._wrapped():
            wrap_function_wrapper(module, f"{cls}.{method}", self._boundary.wrap(wrapper))

    def uninstrument(self) -> None:
        """Disconnect, and unwrap the method."""
        from importlib import import_module

        from opentelemetry.instrumentation.utils import unwrap

        for module, cls, method, _ in self._wrapped():
            unwrap(getattr(import_module(module), cls), method)
        for sent, listener in self._connected:
            sent.disconnect(listener)
        self._connected = []

    def _wrapped(self) -> tuple[tuple[str, str, str, Callable[..., Any]], ...]:
        return (
            ("celery.app.base", "Celery", "send_task", self._send),
            ("celery.worker.request", "Request", "on_timeout", self._on_timeout),
            ("celery.worker.request", "Request", "on_failure", self._on_failure),
            ("celery.worker.worker", "WorkController", "start", in_silence),
            ("celery.utils.dispatch.signal", "Signal", "send", out_of_silence),
        )

    # --- the publisher

    def _send(self, wrapped: Any, app: Any, args: Any, kwargs: Any) -> Any:
        if _compat.suppressed() or _upstream_listens():
            return wrapped(*args, **kwargs)
        around = outside()
        name = str(args[0] if args else kwargs.get("name"))
        attributes: dict[str, AttributeValue] = {
            "messaging.operation.name": "apply_async",
            "messaging.operation.type": "send",
            "celery.action": "apply_async",
            "celery.task_name": name,
            **self._broker_of(app),
        }
        countdown = kwargs.get("countdown")
        if isinstance(countdown, (int, float)):
            attributes["celery.countdown"] = countdown
        span = self._tracer.start_span(
            f"apply_async/{name}", context=around, kind=SpanKind.PRODUCER, attributes=attributes
        )
        sent = context.set_value(_PUBLISHING, (span, attributes), trace.set_span_in_context(span, around))
        token = context.attach(sent)
        context.attach(silenced())
        start = time.perf_counter()
        try:
            return wrapped(*args, **kwargs)
        except Exception as error:
            _record(span, error, attributes)
            raise
        finally:
            elapsed = time.perf_counter() - start
            context.detach(token)
            span.end()
            if self._sending is not None:
                self._sending.record(elapsed, of_metric(attributes), context=sent)

    def _before_publish(self, headers: Any = None, **signal: Any) -> None:
        """Put the trace into the message, and on the span what only the message says."""
        if not isinstance(headers, dict) or _upstream_listens():
            return
        propagate.inject(headers)
        publishing: Any = context.get_value(_PUBLISHING)
        if publishing is None:
            return
        span, attributes = publishing
        properties = signal.get("properties") or {}
        attributes |= of_message(headers) | destination(queue(signal), headers, properties)
        if span.is_recording():
            span.set_attributes(attributes)

    # --- the worker

    def _begin(self, task: Any = None, **_signal: Any) -> None:
        if task is None or _compat.suppressed() or _upstream_listens():
            return
        request = task.request
        remote = Context() if request.is_eager else propagate.extract(request, Context(), GETTER)
        # What runs in a worker is nobody's child there; what `apply()` runs at once is its caller's.
        parent = outside() if request.is_eager else remote
        attributes = self._of_execution(task, vars(request))
        span = self._start(task.name, parent, remote, attributes, None)
        self._executions[request] = _Execution(span, parent, attributes)

    def _start(
        self,
        name: str,
        parent: Context,
        remote: Context,
        attributes: dict[str, AttributeValue],
        start: int | None,
    ) -> trace.Span:
        publisher = trace.get_current_span(remote).get_span_context()
        return self._tracer.start_span(
            f"run/{name}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[Link(publisher)] if publisher.is_valid else None,
            start_time=start,
        )

    def _of_execution(self, task: Any, request: Mapping[str, Any]) -> dict[str, AttributeValue]:
        delivery: Mapping[str, Any] = request.get("delivery_info") or {}
        attributes: dict[str, AttributeValue] = {
            "messaging.operation.name": "run",
            "messaging.operation.type": "process",
            "celery.action": "run",
            "celery.task_name": task.name,
            **self._broker_of(task.app),
            **of_message(request),
            **destination(delivery.get("routing_key"), request, request),
        }
        if request.get("hostname"):
            attributes["celery.hostname"] = str(request["hostname"])
        if delivery.get("redelivered"):
            attributes["celery.redelivered"] = True
        return attributes

    def _retry(self, request: Any = None, reason: Any = None, **_signal: Any) -> None:
        execution = None if request is None else self._executions.get(request)
        if execution is not None:
            execution.span.set_attribute("celery.retry.reason", str(reason))

    def _failure(self, sender: Any = None, exception: Any = None, **_signal: Any) -> None:
        # Celery sends it in the worker's main process too, for a child that was killed: nothing runs there.
        execution = None if sender is None else self._executions.get(sender.request)
        if execution is None or not isinstance(exception, BaseException):
            return
        expected: Any = tuple(getattr(sender, "throws", None) or ())
        if not isinstance(exception, expected):
            _record(execution.span, exception, execution.attributes)

    def _end(self, task: Any = None, state: Any = None, **_signal: Any) -> None:
        execution = None if task is None else self._executions.pop(task.request, None)
        if execution is None:
            return
        elapsed = time.perf_counter() - execution.start
        # A task that attached a context and did not detach it must not make the next one its child.
        context.detach(execution.token)
        if state is not None:
            execution.span.set_attribute("celery.state", str(state))
        elif _is_terminated(sys.exc_info()[1]):
            return  # the main process records it: what this child sends may not arrive any more
        execution.span.end()
        if self._processing is not None:
            self._processing.record(elapsed, of_metric(execution.attributes), context=execution.context)

    # --- the worker's main process, of children that cannot speak any more

    def _on_timeout(self, wrapped: Any, request: Any, args: Any, kwargs: Any) -> Any:
        from billiard.exceptions import TimeLimitExceeded

        if not kwargs.get("soft", args[0] if args else None):
            self._record_lost(request, TimeLimitExceeded(kwargs.get("timeout", args[-1] if args else None)))
        return wrapped(*args, **kwargs)

    def _on_failure(self, wrapped: Any, request: Any, args: Any, kwargs: Any) -> Any:
        from billiard.exceptions import Terminated, WorkerLostError

        error: Any = getattr(args[0] if args else kwargs.get("exc_info"), "exception", None)
        error: Any = getattr(error, "exc", error)  # billiard wraps what crosses processes
        if isinstance(error, (Terminated, WorkerLostError)):
            self._record_lost(request, error)
        return wrapped(*args, **kwargs)

    def _shutting_down(self, how: str = "", **_signal: Any) -> None:
        if str(how).lower() != "cold":
            return
        from billiard.exceptions import Terminated
        from celery.worker import state

        for request in list(state.active_requests):
            if request.worker_pid not in {None, os.getpid()}:
                self._record_lost(request, Terminated("cold shutdown"))

    def _record_lost(self, request: Any, error: BaseException) -> None:
        # It is asked twice for one child: about the limit, and about the loss.
        if request in self._lost or request.time_start is None or _upstream_listens():
            return
        self._lost.add(request)
        message: dict[str, Any] = request.request_dict
        remote = propagate.extract(
            {key: value for key, value in message.items() if isinstance(value, str)}, Context()
        )
        attributes = self._of_execution(request.task, message)
        attributes["celery.state"] = "FAILURE"
        start = int(request.time_start * 1e9)
        span = self._start(request.task.name, remote, remote, attributes, start)
        _record(span, error, attributes)
        span.end()
        if self._processing is not None:
            elapsed = max(0.0, time.time() - request.time_start)
            self._processing.record(
                elapsed, of_metric(attributes), context=trace.set_span_in_context(span, remote)
            )

    def _broker_of(self, app: Any) -> dict[str, AttributeValue]:
        found = self._brokers.get(app)
        if found is None:
            found = self._brokers[app] = broker(app)
        return found


def _is_terminated(error: BaseException | None) -> bool:
    """Say whether billiard's handler of a signal is what ends a task."""
    if not isinstance(error, SystemExit) or not isinstance(error.code, int):
        return False
    return error.code in {number - 256 for number in signal.valid_signals()}  # the status that it exits with


def _upstream_listens() -> bool:
    """Say whether the application called upstream's instrumentor, as its documentation says, in each child."""
    module = sys.modules.get("opentelemetry.instrumentation.celery")
    upstream = getattr(module, "CeleryInstrumentor", None)  # absent while the module is half made
    return upstream is not None and bool(upstream().is_instrumented_by_opentelemetry)


def _record(span: trace.Span, error: BaseException, attributes: dict[str, AttributeValue]) -> None:
    cls = type(error)
    kind = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    attributes["error.type"] = kind
    span.record_exception(error)
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR, str(error))
