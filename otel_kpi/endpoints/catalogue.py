"""What is answered, and where: one list for every framework."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import otel_kpi
from otel_kpi import exposition, health
from otel_kpi.endpoints import schemas
from otel_kpi.exposition.answer import Answer
from otel_kpi.instrumentation.servers.excluded_urls import exclude_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_logger: Final = logging.getLogger("otel_kpi.endpoints")

NO_STORE: Final = ("Cache-Control", "no-store")
"""On every answer: each is of its moment."""


_failing: Final[set[str]] = set()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address.

    Attributes:
        name: By which it is moved or left out.
        path: Where it is, without a prefix.
        summary: What it says, in one line.
        answer: Gives the answer to an `Accept` header.
        quick: Whether it answers from what is known, without waiting for anybody.
        responses: By status code, the media types with their schemas; None for those that are no JSON.
    """

    name: str
    path: str
    summary: str
    answer: Callable[[str | None], Answer]
    quick: bool
    responses: Mapping[int, Mapping[str, Mapping[str, Any] | None]]

    def ask(self, accept: str | None) -> Answer:
        """Answer; never raises. What could not be answered is a 500 without a reason, which is in the log, once."""
        try:
            answer = self.answer(accept)
            _failing.discard(self.name)
            return answer  # noqa: TRY300 - with the line above it is one thing
        except Exception:
            if self.name not in _failing:
                _failing.add(self.name)
                _logger.exception("%s cannot be answered; the application is not affected", self.path)
            return Answer(500, "text/plain; charset=utf-8", b"not answered; the log has the reason\n")


def _metrics(accept: str | None) -> Answer:
    return exposition.metrics(accept)


def _summary(_accept: str | None) -> Answer:
    return exposition.summary()


def _monitoring(_accept: str | None) -> Answer:
    return exposition.monitoring_page()


def _health(which: Any) -> Callable[[str | None], Answer]:
    def answer(_accept: str | None) -> Answer:
        return health.answer(which)

    return answer


def _json(schema: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return {"application/json": schema}


ENDPOINTS: Final = (
    Endpoint(
        "metrics",
        "/metrics",
        "What was measured, for Prometheus.",
        _metrics,
        quick=False,
        responses={
            200: {"text/plain": None, "application/openmetrics-text": None},
            503: {"text/plain": None},
        },
    ),
    Endpoint(
        "summary",
        "/api/metrics/summary",
        "The most asked-for figures.",
        _summary,
        quick=False,
        responses={200: _json(schemas.SUMMARY), 503: _json(schemas.REFUSED)},
    ),
    Endpoint(
        "monitoring",
        "/monitoring",
        "A page that shows the summary.",
        _monitoring,
        quick=False,
        responses={200: {"text/html": None}, 503: {"text/html": None}},
    ),
    Endpoint(
        "health",
        "/api/health",
        "All that is known of this process and of what it depends on.",
        _health("full"),
        quick=True,
        responses={200: _json(schemas.HEALTH), 503: _json(schemas.HEALTH)},
    ),
    Endpoint(
        "live",
        "/api/health/live",
        "Whether the process answers.",
        _health("live"),
        quick=True,
        responses={200: _json(schemas.LIVE)},
    ),
    Endpoint(
        "ready",
        "/api/health/ready",
        "Whether the process may receive traffic.",
        _health("ready"),
        quick=True,
        responses={200: _json(schemas.READY), 503: _json(schemas.READY)},
    ),
    Endpoint(
        "instrumentation",
        "/health",
        "The whole in one word, and how its instrumentation is.",
        _health("instrumentation"),
        quick=True,
        responses={200: _json(schemas.INSTRUMENTATION), 503: _json(schemas.INSTRUMENTATION)},
    ),
)


def placed(prefix: str, paths: Mapping[str, str | None]) -> tuple[tuple[Endpoint, str], ...]:
    """Give each endpoint with its path.

    Args:
        prefix: In front of every path, `"/internal"`.
        paths: By name, another path, or None to leave it out. A name that nobody knows is one line in the log.
    """
    names = {each.name for each in ENDPOINTS}
    for name in sorted(set(paths) - names):
        _logger.warning("there is no endpoint %r; there are %s", name, ", ".join(sorted(names)))
    front = f"/{prefix.strip('/')}" if prefix.strip("/") else ""
    chosen = ((each, paths.get(each.name, each.path)) for each in ENDPOINTS)
    return tuple((each, f"{front}/{path.lstrip('/')}") for each, path in chosen if path is not None)


def installed(prefix: str, paths: Mapping[str, str | None]) -> tuple[tuple[Endpoint, str], ...]:
    """Give each endpoint with its path, for an application that is about to have them; see `placed`.

    From now on requests for them leave no trace, and the workers of this service tell each other their figures.
    """
    found = placed(prefix, paths)
    for _, path in found:
        exclude_endpoint(path)
    # What it imports, 20 ms of it, is imported before somebody waits for an answer.
    otel_kpi.get_instrumentation_health()
    if any(not each.quick for each, _ in found):
        exposition.activate()
    return found
