"""What is measured of WebSockets, and the conventions of their spans.

OpenTelemetry has no convention for WebSockets (semantic-conventions#2841 is open); the stable one that is nearest is
`signalr.server.*`, whose active connections and connection duration these follow. Nothing here names a socket, a
user or a room: with thousands of connections that would be thousands of series.
"""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Histogram, Pack, Span, UpDownCounter
from otel_kpi.packs.attributes import ERROR_TYPE, MODEL_NAME

_RFC: Final = "https://www.rfc-editor.org/rfc/rfc6455#section-7.4"
_NETWORK: Final = "https://opentelemetry.io/docs/specs/semconv/attributes-registry/network/"
_HTTP: Final = "https://opentelemetry.io/docs/specs/semconv/attributes-registry/http/"
_SIGNALR: Final = "B3; OpenTelemetry signalr.server.*"

CONNECTION_BUCKETS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400)
"""Seconds: a client that cannot speak with us, a visit of a page, a working day."""
LATENCY_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
)  # fmt: skip
"""Seconds: what a person at a dashboard does not notice, notices, and gives up on."""
BATCH_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)
"""Events sent together."""

# --- attributes of instruments

EVENT_TYPE: Final = Attribute(
    name="kpi.websocket.event.type",
    brief="The kind of an event or of a message, a word of the application's; never an id.",
    budget=30,
    examples=("kpi_update", "anomaly_detected"),
    source="S0",
)
DIRECTION: Final = Attribute(
    name="network.io.direction",
    brief="From the client, or to it.",
    members=("receive", "transmit"),
    source=_NETWORK,
)
HANDSHAKE_RESULT: Final = Attribute(
    name="kpi.websocket.handshake.result",
    brief="Accepted; rejected by the application; ended by an error; abandoned before an answer.",
    members=("accepted", "rejected", "error", "abandoned"),
)
CLOSE_CLASS: Final = Attribute(
    name="kpi.websocket.close.class",
    brief="What the close code says: 1000 normal, 1001 going_away, 1005 no_status, 1006 abnormal, 1002, 1003, 1007 and "
    "1010 protocol, 1008 policy, 1009 too_big, 1011 error, 1012 and 1013 restart, 1014 and 1015 gateway, 3000 to 3999 "
    "library, 4000 to 4999 application.",
    members=(
        "normal",
        "going_away",
        "no_status",
        "abnormal",
        "protocol",
        "policy",
        "too_big",
        "error",
        "restart",
        "gateway",
        "library",
        "application",
    ),
    source=_RFC,
)
CLOSED_BY: Final = Attribute(
    name="kpi.websocket.close.by",
    brief="Who ended the connection; a connection that broke was ended by the client.",
    members=("client", "server"),
)
OPERATION: Final = Attribute(
    name="kpi.websocket.subscription.operation",
    brief="What a client did with its subscriptions.",
    budget=10,
    members=("subscribe", "unsubscribe"),
    examples=("subscribe", "unsubscribe"),
    source="S0",
)
BUFFER: Final = Attribute(
    name="kpi.websocket.buffer.name",
    brief="Which buffer, where a process has several.",
    budget=20,
    examples=("broadcast",),
    required=False,
)

# --- attributes of spans alone

_ROUTE: Final = Attribute(
    name="http.route", brief="The template of the path.", examples=("/rooms/{room}",), source=_HTTP
)
_STATUS: Final = Attribute(
    name="http.response.status_code",
    brief="101 accepted, 403 or another rejected, 500 an error before an answer.",
    type="int",
    examples=("101",),
    source=_HTTP,
)
_CLOSE_CODE: Final = Attribute(
    name="websocket.close_code",
    brief="By which code the connection was closed.",
    type="int",
    examples=("1000",),
    source=_RFC,
)
_SECONDS: Final = Attribute(
    name="kpi.websocket.duration", brief="Seconds from the acceptance to the end.", type="double"
)
_RECEIVED: Final = Attribute(
    name="kpi.websocket.messages.received", brief="Messages from the client.", type="int"
)
_SENT: Final = Attribute(name="kpi.websocket.messages.sent", brief="Messages to the client.", type="int")
_UNTRACED: Final = Attribute(
    name="kpi.websocket.messages.untraced",
    brief="Messages and pushes that would have had a span and got none, since the connection had used up its budget.",
    type="int",
)
_BYTES_RECEIVED: Final = Attribute(
    name="kpi.websocket.bytes.received", brief="Volume of the messages from the client.", type="int"
)
_BYTES_SENT: Final = Attribute(
    name="kpi.websocket.bytes.sent", brief="Volume of the messages to the client.", type="int"
)
_MESSAGE_TYPE: Final = Attribute(
    name="websocket.message.type",
    brief="Text or binary.",
    members=("text", "binary"),
    required=False,
)
_MESSAGE_SIZE: Final = Attribute(
    name="websocket.message.size", brief="Bytes of the message.", type="int", required=False
)
_MESSAGE_NUMBER: Final = Attribute(
    name="kpi.websocket.message.number",
    brief="Which message of the connection it is, from 1.",
    type="int",
    required=False,
)
_HANDLER: Final = Attribute(
    name="code.function.name",
    brief="What handles it, where a framework says so.",
    examples=("rooms.consumers.RoomConsumer.websocket_receive",),
    source="https://opentelemetry.io/docs/specs/semconv/attributes-registry/code/",
    required=False,
)

# --- connections: recorded by the instrumentors, or by `connection()` where there is none

ACTIVE_CONNECTIONS: Final = UpDownCounter(
    name="kpi.websocket.active_connections",
    unit="{connection}",
    brief="Connections that are accepted and not ended.",
    prometheus="kpi_websocket_active_connections",
    source="B3; C1 WebSocketConnectionsHigh",
    systems=("S0",),
    observable=True,
)
HANDSHAKES: Final = Counter(
    name="kpi.websocket.handshakes",
    unit="{handshake}",
    brief="Handshakes, by how they ended.",
    attributes=(HANDSHAKE_RESULT,),
    source="B3",
    systems=("S0",),
    initial=(("accepted",), ("rejected",), ("error",)),
)
CONNECTION_DURATION: Final = Histogram(
    name="kpi.websocket.connection.duration",
    unit="s",
    brief="Time from the acceptance of a connection to its end.",
    attributes=(CLOSE_CLASS,),
    buckets=CONNECTION_BUCKETS,
    source=_SIGNALR,
    systems=("S0",),
)
CLOSES: Final = Counter(
    name="kpi.websocket.closes",
    unit="{connection}",
    brief="Connections that ended, by what the close code says and by who ended them.",
    attributes=(CLOSE_CLASS, CLOSED_BY),
    source=_SIGNALR,
    systems=("S0",),
)
MESSAGES: Final = Counter(
    name="kpi.websocket.messages",
    unit="{message}",
    brief="Messages that came and went.",
    attributes=(DIRECTION,),
    source="B3",
    systems=("S0",),
)
IO: Final = Counter(
    name="kpi.websocket.io",
    unit="By",
    brief="Volume of the messages that came and went, without frames and before compression.",
    attributes=(DIRECTION,),
    source="B3",
    systems=("S0",),
)
ERRORS: Final = Counter(
    name="kpi.websocket.errors",
    unit="{error}",
    brief="Errors that nobody handled and that ended a connection or a handshake.",
    attributes=(ERROR_TYPE,),
    source="B3",
    systems=("S0",),
)
UNTRACED_MESSAGES: Final = Counter(
    name="kpi.websocket.untraced_messages",
    unit="{message}",
    brief="Messages and pushes that would have had a span and got none, since their connection had used up its budget.",
    source="B3; E4",
    initial=((),),
)

# --- events: recorded by the application

EVENTS_PUBLISHED: Final = Counter(
    name="kpi.websocket.events.published",
    unit="{event}",
    brief="Events that the application published, whoever receives them.",
    attributes=(EVENT_TYPE, MODEL_NAME),
    source="B3",
    systems=("S0",),
    series=500,
)
EVENTS_DELIVERED: Final = Counter(
    name="kpi.websocket.events.delivered",
    unit="{event}",
    brief="Deliveries: an event that reached seven clients counts seven times.",
    attributes=(EVENT_TYPE, MODEL_NAME),
    source="B3",
    systems=("S0",),
    series=500,
)
DELIVERY_DURATION: Final = Histogram(
    name="kpi.websocket.delivery.duration",
    unit="s",
    brief="Time that the delivery of an event to all its recipients took.",
    attributes=(EVENT_TYPE,),
    buckets=LATENCY_BUCKETS,
    source="B3",
    systems=("S0",),
)
MESSAGE_DURATION: Final = Histogram(
    name="kpi.websocket.message.duration",
    unit="s",
    brief="Time that the handling of a message took.",
    attributes=(EVENT_TYPE,),
    buckets=LATENCY_BUCKETS,
    source="B3",
    systems=("S0",),
)
SUBSCRIPTIONS: Final = Counter(
    name="kpi.websocket.subscriptions",
    unit="{operation}",
    brief="What clients did with their subscriptions.",
    attributes=(OPERATION,),
    source="B3",
    systems=("S0",),
    initial=(("subscribe",), ("unsubscribe",)),
)
ACTIVE_FILTERS: Final = UpDownCounter(
    name="kpi.websocket.active_filters",
    unit="{filter}",
    brief="Filters that clients have set and that are in force.",
    source="B3",
    systems=("S0",),
    observable=True,
)
BUFFER_SIZE: Final = UpDownCounter(
    name="kpi.websocket.buffer.size",
    unit="{event}",
    brief="Events that wait to be sent.",
    attributes=(BUFFER,),
    source="B3",
    systems=("S0",),
    observable=True,
)
BATCH_SIZE: Final = Histogram(
    name="kpi.websocket.batch.size",
    unit="{event}",
    brief="Events that were sent together.",
    buckets=BATCH_BUCKETS,
    source="B3",
    systems=("S0",),
)

# --- spans

HANDSHAKE: Final = Span(
    id="kpi.websocket.handshake",
    name="{http.route}",
    kind="server",
    brief="From the request for a connection to its acceptance or refusal: ends at once, and is seen at once.",
    attributes=(_ROUTE, _STATUS, ERROR_TYPE),
    source="B3; OpenTelemetry HTTP server spans; opentelemetry-python-contrib#505",
    systems=("S0",),
)
CONNECTION: Final = Span(
    id="kpi.websocket.connection",
    name="connection {http.route}",
    kind="internal",
    brief="From the acceptance to the end, below the handshake, with what came and went; seen when it ended.",
    attributes=(
        _ROUTE,
        _CLOSE_CODE,
        CLOSED_BY,
        _SECONDS,
        _RECEIVED,
        _SENT,
        _BYTES_RECEIVED,
        _BYTES_SENT,
        _UNTRACED,
        ERROR_TYPE,
    ),
    source="B3; opentelemetry-python-contrib#2343",
    systems=("S0",),
)
MESSAGE: Final = Span(
    id="kpi.websocket.message",
    name="message {kpi.websocket.event.type}",
    kind="consumer",
    brief="The handling of one message, a trace of its own with links to the handshake and to the sender; made when "
    "something is seen to happen in it.",
    attributes=(_ROUTE, EVENT_TYPE, _MESSAGE_TYPE, _MESSAGE_SIZE, _MESSAGE_NUMBER, _HANDLER, ERROR_TYPE),
    source="B3; opentelemetry-python-contrib#2343",
    systems=("S0",),
)
PUSH: Final = Span(
    id="kpi.websocket.push",
    name="push {http.route}",
    kind="internal",
    brief="What a connection does of itself up to the next thing that it sends: a trace of its own, linked to the "
    "handshake.",
    attributes=(_ROUTE, ERROR_TYPE),
    source="B3",
    systems=("S0",),
)
DELIVERY: Final = Span(
    id="kpi.websocket.delivery",
    name="deliver {kpi.websocket.event.type}",
    kind="producer",
    brief="The delivery of an event to its recipients, inside of a trace that is recorded.",
    attributes=(EVENT_TYPE, ERROR_TYPE),
    source="B3",
    systems=("S0",),
)

PACK: Final = Pack(
    name="websocket",
    title="WebSockets",
    brief="Connections, messages and events of real-time applications: how many clients are there, what is sent to "
    "them, how long that takes, and how connections end.",
    instruments=(
        ACTIVE_CONNECTIONS,
        HANDSHAKES,
        CONNECTION_DURATION,
        CLOSES,
        MESSAGES,
        IO,
        ERRORS,
        UNTRACED_MESSAGES,
        EVENTS_PUBLISHED,
        EVENTS_DELIVERED,
        DELIVERY_DURATION,
        MESSAGE_DURATION,
        SUBSCRIPTIONS,
        ACTIVE_FILTERS,
        BUFFER_SIZE,
        BATCH_SIZE,
    ),
    spans=(HANDSHAKE, CONNECTION, MESSAGE, PUSH, DELIVERY),
)
