"""The handles of the pack's instruments, one for each: two of one declaration would report one series twice."""

from __future__ import annotations

from typing import Final

from opentelemetry import trace

from otel_kpi import record
from otel_kpi.packs.websocket import instruments

SCOPE: Final = "otel_kpi.websocket"
"""Instrumentation scope of the pack's spans and series. What is observed is in `connections` and `levels`."""

tracer: Final = trace.get_tracer(SCOPE)
handshakes: Final = record.counter(instruments.HANDSHAKES, SCOPE)
connection_duration: Final = record.histogram(instruments.CONNECTION_DURATION, SCOPE)
closes: Final = record.counter(instruments.CLOSES, SCOPE)
messages: Final = record.counter(instruments.MESSAGES, SCOPE)
io: Final = record.counter(instruments.IO, SCOPE)
errors: Final = record.counter(instruments.ERRORS, SCOPE)
untraced_messages: Final = record.counter(instruments.UNTRACED_MESSAGES, SCOPE)
events_published: Final = record.counter(instruments.EVENTS_PUBLISHED, SCOPE)
events_delivered: Final = record.counter(instruments.EVENTS_DELIVERED, SCOPE)
delivery_duration: Final = record.histogram(instruments.DELIVERY_DURATION, SCOPE)
message_duration: Final = record.histogram(instruments.MESSAGE_DURATION, SCOPE)
subscriptions: Final = record.counter(instruments.SUBSCRIPTIONS, SCOPE)
batch_size: Final = record.histogram(instruments.BATCH_SIZE, SCOPE)
