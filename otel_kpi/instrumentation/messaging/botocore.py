"""botocore and aiobotocore: upstream's instrumentors, with what they leave out and without what they change.

Upstream puts the trace into the payload of a Lambda invocation, which is the application's own document; the
`X-Amzn-Trace-Id` header, which it sets too, is what Lambda reads. It puts none into messages of SQS, for which
upstream has another package: here it goes into their attributes, and a reception is linked to the publishers.
Names of today stand beside those of 2021.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import propagate, trace
from opentelemetry.context import Context

from otel_kpi import _compat

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_ATTRIBUTES: Final = 10
"""Of an SQS message; one more makes SQS refuse it."""

_OPERATIONS: Final = {"SendMessage": "send", "SendMessageBatch": "send", "ReceiveMessage": "receive"}


class Instrumentor:
    """Upstream's `BotocoreInstrumentor` with our hooks."""

    _name = "BotocoreInstrumentor"

    def __init__(self) -> None:
        from opentelemetry.instrumentation import botocore

        self.upstream: Any = getattr(botocore, self._name)()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether the application did it itself."""
        return bool(self.upstream.is_instrumented_by_opentelemetry)

    def instrument(self, **options: Any) -> None:
        """Have upstream instrument the library."""
        _compat.keep_lambda_payloads()
        self.upstream.instrument(request_hook=_request, response_hook=_response, **options)

    def uninstrument(self) -> None:
        """Have upstream take it back."""
        self.upstream.uninstrument()


class AiobotocoreInstrumentor(Instrumentor):
    """Upstream's `AiobotocoreInstrumentor` with our hooks."""

    _name = "AiobotocoreInstrumentor"


def _request(span: trace.Span, service: str, operation: str, params: dict[str, Any]) -> None:
    if service != "sqs" or operation not in _OPERATIONS:
        return
    span.set_attributes(
        {
            "messaging.system": "aws_sqs",
            "messaging.operation.type": _OPERATIONS[operation],
            "messaging.operation.name": operation,
            "messaging.destination.name": str(params.get("QueueUrl", "")).rpartition("/")[2],
        }
    )
    if operation == "SendMessage":
        params["MessageAttributes"] = with_trace(params.get("MessageAttributes"))
    elif operation == "SendMessageBatch":
        entries: Any = params.get("Entries") or []
        params["Entries"] = [
            {**entry, "MessageAttributes": with_trace(entry.get("MessageAttributes"))} for entry in entries
        ]
        span.set_attribute("messaging.batch.message_count", len(entries))
    else:
        names: list[str] = list(params.get("MessageAttributeNames") or [])
        if "All" not in names and ".*" not in names:
            params["MessageAttributeNames"] = [*names, *(name for name in _fields() if name not in names)]


def _response(span: trace.Span, service: str, operation: str, result: Any) -> None:
    answer: Mapping[str, Any] = result if isinstance(result, dict) else {}
    status = (answer.get("ResponseMetadata") or {}).get("HTTPStatusCode")
    if isinstance(status, int):
        span.set_attribute("http.response.status_code", status)
    error = sys.exc_info()[1]  # upstream calls this on the way out
    if error is not None:
        code = (answer.get("Error") or {}).get("Code")
        span.set_attribute("error.type", str(code or type(error).__qualname__))
    if service == "sqs" and operation == "ReceiveMessage":
        messages: list[Any] = answer.get("Messages") or []
        span.set_attribute("messaging.batch.message_count", len(messages))
        for message in messages:
            publisher = publisher_of(message)
            if publisher.is_valid:
                span.add_link(publisher)


def with_trace(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give a message's attributes with the current trace in them, as far as SQS takes so many.

    Args:
        attributes: Those that the application gave; they are not changed.
    """
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    added = {name: {"DataType": "String", "StringValue": value} for name, value in carrier.items()}
    given = dict(attributes or {})
    return {**added, **given} if len(given) + len(added) <= _MOST_ATTRIBUTES else given


def publisher_of(message: Mapping[str, Any]) -> trace.SpanContext:
    """Give the span in which a message was sent; an invalid one when nobody says."""
    attributes: Mapping[str, Any] = message.get("MessageAttributes") or {}
    carrier = {name: str(value.get("StringValue", "")) for name, value in attributes.items()}
    return trace.get_current_span(propagate.extract(carrier, Context())).get_span_context()


def _fields() -> list[str]:
    return sorted(propagate.get_global_textmap().fields)
