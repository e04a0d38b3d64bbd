"""Private parts of opentelemetry-sdk: what its providers do in a forked child.

Each of the three asks the resource detectors anew there, on threads of a pool that it makes for it. A child that is
forked to become another program pays for that; and under gevent, to start a thread lets every greenlet of the parent's go
on in the child. Those that fork, as `subprocess` does there, fork again: a program that starts fifty commands at once ends
the machine. There is no public way to leave it out.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

_logger: Final = logging.getLogger("otel_kpi")
_MODULES: Final = (
    "opentelemetry.sdk.trace",
    "opentelemetry.sdk.metrics._internal",
    "opentelemetry.sdk._logs._internal",
)
_NAME: Final = "_get_process_dependent_resource"


def detect_without_threads() -> None:
    """Have the detectors that forked children ask called in turn, by the thread that forked."""
    for name in _MODULES:
        module = importlib.import_module(name)
        if hasattr(module, _NAME):
            setattr(module, _NAME, _detected)


def _detected() -> Resource:
    from opentelemetry.sdk import resources

    upstream: Any = resources
    found = resources.Resource.get_empty()
    for detector in upstream._build_resource_detectors():
        if not detector.is_process_dependent():
            continue
        try:
            found = found.merge(detector.detect())
        except Exception as error:
            if detector.raise_on_error:
                raise
            _logger.warning(
                "%r in the resource detector %s of a forked child; it is left out", error, detector
            )
    return found
