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
"""

from __future__ import annotations

import sys
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Link, SpanKind, StatusCode

from otel_kpi import _compat
from otel_kpi._version import __version__
from otel_kpi.instrumentation.boundary import Boundary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.metrics import Histogram
    from opentelemetry.util.types import AttributeValue

_SCOPE: Final = "otel_kpi.instrumentation.celery"
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.40.0"
_PUBLISHING: Final = context.create_key("otel-kpi-celery-publishing")
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; the boundaries that the messaging conventions recommend."""

_SYSTEMS: Final = {
    "amqp": "rabbitmq",
    "amqps": "rabbitmq",
    "pyamqp": "rabbitmq",
    "librabbitmq": "rabbitmq",
    "rediss": "redis",
    "sentinel": "redis",
    "sqs": "aws_sqs",
    "confluentkafka": "kafka",
    "gcpubsub": "gcp_pubsub",
    "azureservicebus": "servicebus",
}
"""Kombu's transports whose `messaging.system` is another word."""

_MESSAGE_KEYS: Final = ("eta", "expires", "retries", "group", "root_id", "parent_id", "shadow")
"""Fields of a message, and of a request, that become `celery.<field>` when they say something."""


class _RequestGetter(Getter[Any]):
    """Reads the message's headers, which Celery makes attributes of the request."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        value = getattr(carrier, key, None)
        if value is None:
            return None
        return [str(item) for item in value] if isinstance(value, (list, tuple)) else [str(value)]

    def keys(self, carrier: Any) -> list[str]:
        return list(vars(carrier))


_GETTER: Final = _RequestGetter()


class _Execution:
    """A task that runs: its span, and how to leave its context."""

    __slots__ = ("attributes", "context", "span", "start", "token")

    def __init__(self, span: trace.Span, parent: Context, attributes: dict[str, AttributeValue]) -> None:
        self.span = span
        self.attributes = attributes
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
        )
        for signal, listener in listeners:
            guarded = self._boundary.listener(listener)
            signal.connect(guarded, weak=False)
            self._connected.append((signal, guarded))
        wrap_function_wrapper("celery.app.base", "Celery.send_task", self._boundary.wrap(self._send))
        for name, wrapper in (("on_timeout", self._on_timeout), ("on_failure", self._on_failure)):
            wrap_function_wrapper("celery.worker.request", f"Request.{name}", self._boundary.wrap(wrapper))

    def uninstrument(self) -> None:
        """Disconnect, and unwrap the method."""
        from celery.app.base import Celery
        from celery.worker.request import Request
        from opentelemetry.instrumentation.utils import unwrap

        unwrap(Celery, "send_task")
        unwrap(Request, "on_timeout")
        unwrap(Request, "on_failure")
        for signal, listener in self._connected:
            signal.disconnect(listener)
        self._connected = []

    # --- the publisher

    def _send(self, wrapped: Any, app: Any, args: Any, kwargs: Any) -> Any:
        if not _compat.instrumentation_enabled() or _upstream_listens():
            return wrapped(*args, **kwargs)
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
        span = self._tracer.start_span(f"apply_async/{name}", kind=SpanKind.PRODUCER, attributes=attributes)
        sent = context.set_value(_PUBLISHING, (span, attributes), trace.set_span_in_context(span))
        token = context.attach(sent)
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
                self._sending.record(elapsed, _of_metric(attributes), context=sent)

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
        attributes |= _of_message(headers) | _destination(_queue(signal), headers, properties)
        if span.is_recording():
            span.set_attributes(attributes)

    # --- the worker

    def _begin(self, task: Any = None, **_signal: Any) -> None:
        if task is None or not _compat.instrumentation_enabled() or _upstream_listens():
            return
        request = task.request
        remote = Context() if request.is_eager else propagate.extract(request, Context(), _GETTER)
        # What runs in a worker is nobody's child there; what `apply()` runs at once is its caller's.
        parent = context.get_current() if request.is_eager else remote
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
            **_of_message(request),
            **_destination(delivery.get("routing_key"), request, request),
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
        if not isinstance(exception, tuple(getattr(sender, "throws", None) or ())):
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
        execution.span.end()
        if self._processing is not None:
            self._processing.record(elapsed, _of_metric(execution.attributes), context=execution.context)

    # --- the worker's main process, of children that cannot speak any more

    def _on_timeout(self, wrapped: Any, request: Any, args: Any, kwargs: Any) -> Any:
        from billiard.exceptions import TimeLimitExceeded

        if not kwargs.get("soft", args[0] if args else None):
            self._record_lost(request, TimeLimitExceeded(kwargs.get("timeout", args[-1] if args else None)))
        return wrapped(*args, **kwargs)

    def _on_failure(self, wrapped: Any, request: Any, args: Any, kwargs: Any) -> Any:
        from billiard.exceptions import Terminated, WorkerLostError

        error = getattr(args[0] if args else kwargs.get("exc_info"), "exception", None)
        error = getattr(error, "exc", error)  # billiard wraps what crosses processes
        if isinstance(error, (Terminated, WorkerLostError)):
            self._record_lost(request, error)
        return wrapped(*args, **kwargs)

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
                elapsed, _of_metric(attributes), context=trace.set_span_in_context(span, remote)
            )

    def _broker_of(self, app: Any) -> dict[str, AttributeValue]:
        found = self._brokers.get(app)
        if found is None:
            found = self._brokers[app] = _broker(app)
        return found


def _upstream_listens() -> bool:
    """Say whether the application called upstream's instrumentor, as its documentation says, in each child."""
    module = sys.modules.get("opentelemetry.instrumentation.celery")
    upstream = getattr(module, "CeleryInstrumentor", None)  # absent while the module is half made
    return upstream is not None and bool(upstream().is_instrumented_by_opentelemetry)


def _broker(app: Any) -> dict[str, AttributeValue]:
    """Say of an application's broker which system it is, and where. Connects to nothing."""
    connection = app.connection_for_write()
    transport = str(connection.transport_cls or "amqp").rpartition("+")[2]
    attributes: dict[str, AttributeValue] = {"messaging.system": _SYSTEMS.get(transport, transport)}
    if connection.hostname and transport not in {"memory", "filesystem"}:
        attributes["server.address"] = str(connection.hostname)
        if isinstance(connection.port, int) and connection.port:
            attributes["server.port"] = connection.port
    return attributes


def _queue(signal: Mapping[str, Any]) -> Any:
    """Give the queue that a message is declared for, or the key by which an exchange will find one."""
    declared = signal.get("declare") or ()
    name = getattr(declared[0], "name", None) if len(declared) == 1 else None
    return name or signal.get("routing_key")


def _destination(
    queue: Any, headers: Mapping[str, Any], properties: Mapping[str, Any]
) -> dict[str, AttributeValue]:
    values = {
        "messaging.destination.name": queue,
        "messaging.message.id": headers.get("id"),
        "messaging.message.conversation_id": properties.get("correlation_id"),
    }
    return {key: str(value) for key, value in values.items() if value}


def _of_message(message: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """Give what a message says of its task; of retries only how many there were."""
    attributes: dict[str, AttributeValue] = {}
    for key in _MESSAGE_KEYS:
        value = message.get(key)
        if value:
            attributes[f"celery.{key}"] = value if isinstance(value, int) else str(value)
    limits = message.get("timelimit")
    if isinstance(limits, (list, tuple)) and any(limits):
        attributes["celery.timelimit"] = ["" if limit is None else str(limit) for limit in limits]
    return attributes


def _of_metric(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    return {key: attributes[key] for key in _METRIC_KEYS if key in attributes}


_METRIC_KEYS: Final = (
    "messaging.operation.name",
    "messaging.operation.type",
    "messaging.system",
    "messaging.destination.name",
    "celery.task_name",
    "server.address",
    "server.port",
    "error.type",
)


def _record(span: trace.Span, error: BaseException, attributes: dict[str, AttributeValue]) -> None:
    cls = type(error)
    kind = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    attributes["error.type"] = kind
    span.record_exception(error)
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR, str(error))
