"""What Celery's messages say, as attributes of the messaging conventions; pure functions of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.propagators.textmap import Getter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

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


class RequestGetter(Getter[Any]):
    """Reads the message's headers, which Celery makes attributes of the request."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        """Give a header's values."""
        value = getattr(carrier, key, None)
        if value is None:
            return None
        return [str(item) for item in value] if isinstance(value, (list, tuple)) else [str(value)]

    def keys(self, carrier: Any) -> list[str]:
        """Give the names of all that is set."""
        return list(vars(carrier))


GETTER: Final = RequestGetter()


def broker(app: Any) -> dict[str, AttributeValue]:
    """Say of an application's broker which system it is, and where. Connects to nothing."""
    connection = app.connection_for_write()
    transport = str(connection.transport_cls or "amqp").rpartition("+")[2]
    attributes: dict[str, AttributeValue] = {"messaging.system": _SYSTEMS.get(transport, transport)}
    if connection.hostname and transport not in {"memory", "filesystem"}:
        attributes["server.address"] = str(connection.hostname)
        if isinstance(connection.port, int) and connection.port:
            attributes["server.port"] = connection.port
    return attributes


def queue(signal: Mapping[str, Any]) -> Any:
    """Give the queue that a message is declared for, or the key by which an exchange will find one."""
    declared = signal.get("declare") or ()
    name = getattr(declared[0], "name", None) if len(declared) == 1 else None
    return name or signal.get("routing_key")


def destination(
    queue_name: Any, headers: Mapping[str, Any], properties: Mapping[str, Any]
) -> dict[str, AttributeValue]:
    """Give where a message goes, and the ids by which it is found."""
    values = {
        "messaging.destination.name": queue_name,
        "messaging.message.id": headers.get("id"),
        "messaging.message.conversation_id": properties.get("correlation_id"),
    }
    return {key: str(value) for key, value in values.items() if value}


def of_message(message: Mapping[str, Any]) -> dict[str, AttributeValue]:
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


def of_metric(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Give the attributes of a span that have few values."""
    return {key: attributes[key] for key in _METRIC_KEYS if key in attributes}
