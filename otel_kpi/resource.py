"""Who is speaking: the resource that every span, data point and log record carries."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.version import __version__ as sdk_version

from otel_kpi._version import __version__
from otel_kpi.instance import instance_id
from otel_kpi.redaction import redact_attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.resources import ResourceDetector

    from otel_kpi.config import Settings
    from otel_kpi.parts import Parts

_logger = logging.getLogger("otel_kpi")

_LONGEST_NAME = 1024
_DETECTION = 5.0
"""Seconds that one resource detector may take; as long as upstream gives it."""


def create_resource(settings: Settings, parts: Parts | None = None) -> Resource:
    """The resource of this process.

    What the program gave wins over `OTEL_SERVICE_NAME` and its kind, these over `OTEL_RESOURCE_ATTRIBUTES`,
    and these over what detectors found. The instance is added by `process_resource`, since it changes at a fork.

    Args:
        settings: Those of the process.
        parts: What a declarative file says beside them.
    """
    resource = Resource(
        {
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": sdk_version,
            "telemetry.distro.name": "otel-kpi",
            "telemetry.distro.version": __version__,
            "host.name": socket.gethostname(),
            "process.runtime.name": sys.implementation.name,
            "process.runtime.version": ".".join(map(str, sys.version_info[:3])),
            "process.executable.name": os.path.basename(sys.executable or "python"),  # noqa: PTH119 - start-up
        }
    )
    for name in settings.resource_detectors:
        resource = resource.merge(_detected(name))
    if parts is not None:
        found = parts.detected() if parts.detected is not None else {}
        resource = resource.merge(Resource(dict(found), parts.schema_url))
    resource = resource.merge(identity_resource(settings))
    if not resource.attributes.get("service.name"):
        executable = resource.attributes["process.executable.name"]
        resource = resource.merge(Resource({"service.name": f"unknown_service:{executable}"}))
    return _redacted(resource)


def identity_resource(settings: Settings) -> Resource:
    """The part of the resource that the program or the environment gave."""
    given: dict[str, str] = dict(settings.resource_attributes)
    named = {
        "service.name": settings.app_name,
        "service.version": settings.version,
        "deployment.environment.name": settings.environment,
    }
    # Who gives something else than text means its text; each log record asks for the name.
    names = {key: str(value)[:_LONGEST_NAME] for key, value in named.items() if value is not None}
    return _redacted(Resource(given | names))


def _redacted(resource: Resource) -> Resource:
    """A resource is in everything that leaves: `OTEL_RESOURCE_ATTRIBUTES` or a command line may hold a password."""
    clean = redact_attributes(resource.attributes)
    return resource if clean is resource.attributes else Resource(dict(clean), resource.schema_url)


def instance_base(attributes: Mapping[str, object]) -> str:
    """The stable part of `service.instance.id`: the user's, or the host's name."""
    return str(attributes.get("service.instance.id") or attributes.get("host.name") or "localhost")


def process_resource(service: str, base: str) -> Resource:
    """The part of the resource that a forked child has anew."""
    return Resource({"service.instance.id": instance_id(service, base), "process.pid": os.getpid()})


def _detected(name: str) -> Resource:
    from importlib.metadata import entry_points

    found: list[Resource] = []

    def detect() -> None:
        try:
            entry_point = next(iter(entry_points(group="opentelemetry_resource_detector", name=name)))
            found.append(cast("ResourceDetector", entry_point.load()()).detect())
        except Exception as error:
            _logger.warning("the resource detector %r failed: %s", name, error)

    # Some ask the network who they are, which may not answer.
    thread = threading.Thread(target=detect, name=f"otel-kpi-detector-{name}", daemon=True)
    thread.start()
    thread.join(_DETECTION)
    if thread.is_alive():
        _logger.warning("the resource detector %r took longer than %d s and is left out", name, _DETECTION)
    return found[0] if found else Resource.get_empty()
