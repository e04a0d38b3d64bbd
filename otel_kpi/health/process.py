"""The health of this process."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import forks
from otel_kpi.health.declaration import INTERVAL, TIMEOUT
from otel_kpi.health.measurement import measure, observe
from otel_kpi.health.registry import Health, Which
from otel_kpi.process import configured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_kpi.exposition.answer import Answer


def check(  # noqa: PLR0913 - what a person may say of a check
    name: str,
    target: Any,
    *,
    critical: bool | None = None,
    timeout: float = TIMEOUT,
    interval: float = INTERVAL,
    depends_on: Iterable[str] = (),
) -> None:
    """Declare a check. One with the same name takes its place.

    Args:
        name: In the answer: a service's, never an address.
        target: What is asked: an engine of SQLAlchemy (sync or async), a Redis client (sync or async), an address, a
            function (sync or async, see `call`), or what `ai_provider`, `django_database`, `http`, `memory`, `disk`,
            `cpu` give.
        critical: Whether the process must not receive traffic while this fails. By default databases are.
        timeout: Seconds after which the check is given up, and unhealthy.
        interval: Seconds between two runs.
        depends_on: Names of other checks. While one of them is unhealthy this one is not asked, and is said to be
            unhealthy because of it. One that leads back to this check is left out.

    Never raises: what cannot be asked is one line in the log, and unhealthy. At most 100 checks are kept.
    """
    _health.check(name, target, critical=critical, timeout=timeout, interval=interval, depends_on=depends_on)


def answer(which: Which = "full") -> Answer:
    """Answer from what is known, at once: nothing is asked while somebody waits.

    The first question starts the checks. Until each critical one has had its first outcome it is `starting`.

    Args:
        which: `"full"` is all that is known, `"live"` that the process answers, `"ready"` whether it may receive
            traffic, `"instrumentation"` the whole in one word with what the instrumentation says of itself.

    Returns:
        JSON. Its status code is 503 while the process must not receive traffic, else 200; of `"live"` always 200.
        In it there is no address, no message of an exception, no secret.
    """
    return _health.answer(which)


def start() -> None:
    """Begin to ask, so that the first question finds an answer. A forked child begins at its own first question."""
    _health.start()


def stop() -> None:
    """Ask nothing any more, until the next question."""
    _health.stop()


def clear() -> None:
    """Forget every check but those of the machine; for tests."""
    _health.clear()


def _identity() -> tuple[str | None, str | None]:
    """Give version and environment: as the pipeline says them, or as they are set where there is none."""
    try:
        here = configured()
        if here is not None and here.pipeline is not None:
            attributes: Mapping[str, Any] = here.pipeline.tracer_provider.resource.attributes
            return _text(attributes, "service.version"), _text(attributes, "deployment.environment.name")
        settings = here.resolved.settings if here is not None else None
        if settings is not None:
            return settings.version, settings.environment
        return os.environ.get("OTEL_KPI_VERSION"), os.environ.get("OTEL_KPI_ENVIRONMENT")
    except Exception:
        return None, None


def _text(attributes: Mapping[str, Any], name: str) -> str | None:
    value = attributes.get(name)
    return str(value) if value else None


def _instrumentation() -> Mapping[str, Any] | None:
    """Give what the instrumentation says of itself, without the addresses to which telemetry goes."""
    import otel_kpi

    try:
        said = otel_kpi.get_instrumentation_health()
        exporters = [
            {name: value for name, value in each.items() if name != "destination"}
            for each in said["exporters"]
        ]
        shown = {**said, "exporters": exporters}
        json.dumps(shown, allow_nan=False)
    except Exception:
        return None
    return shown


_health: Final = Health(told=measure, identity=_identity, metrics=_instrumentation)
observe(_health.known)
forks.in_child(_health.after_fork_in_child)
