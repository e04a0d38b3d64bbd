"""The most asked-for figures, out of the series that OpenTelemetry's instrumentors and the packs record.

No data is not zero: what nobody measured is None. A counter that is there and stands at 0 is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from otel_kpi.exposition.exponential import Exponential
from otel_kpi.exposition.families import Distribution, added
from otel_kpi.exposition.labels import labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_kpi.exposition.families import Family, Number, Value
    from otel_kpi.exposition.totals import Totals

_FIRST_ERROR: Final = 400
"""Status code from which an answer is counted as an error, the client's as well as ours."""
_WITHOUT: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took.

    Attributes:
        count: How often it was measured.
        total: Seconds, all together.
        buckets: Upper bounds in seconds and how many were below, without infinity.
    """

    count: int
    total: Number
    buckets: tuple[tuple[float, int], ...]

    def average(self) -> float | None:
        """Seconds; None when nothing was measured."""
        return _finite(self.total / self.count) if self.count else None

    def quantile(self, share: float) -> float | None:
        """Seconds within which this share was, as `histogram_quantile` estimates it; infinite above the last bound.

        None when there are no buckets.
        """
        if not self.count or not self.buckets:
            return None
        rank = share * self.count
        lower, below = 0.0, 0
        for bound, count in self.buckets:
            if count >= rank and count > below:
                return lower + (bound - lower) * (rank - below) / (count - below)
            lower, below = max(bound, 0.0), count
        return math.inf


@dataclass(frozen=True, slots=True)
class Figures:
    """What the summary and the page say.

    Attributes:
        requests: Answered requests, by whether their status was below 400.
        latency: Of all requests.
        sessions: Chat sessions that are open.
        messages: By the role of who speaks.
        languages: Messages by language.
        ai: Calls of language models.
        tokens: That they took and gave.
        connections: Of database pools, in use.
        queries: Statements; commands to Redis are none.
        errors: That the application reported, by type.
    """

    requests: tuple[int, int] | None
    latency: Durations | None
    sessions: Number | None
    messages: dict[str, Number] | None
    languages: dict[str, Number] | None
    ai: Durations | None
    tokens: Number | None
    connections: Number | None
    queries: Durations | None
    errors: dict[str, Number] | None


def figures_of(totals: Totals, prefix: str | None = None) -> Figures:
    """Compute the figures.

    Args:
        totals: All series.
        prefix: Of the compatibility series (`OTEL_KPI_CHAT_PREFIX`), which are read where the others are missing.
    """

    def family(name: str, older: str = "") -> Family | None:
        found = totals.families.get(name)
        return found if found is not None or not prefix else totals.families.get(f"{prefix}_{older}")

    served = family("http_server_request_duration_seconds", "http_request_duration_seconds")
    messages = family("kpi_chat_messages_total", "messages_total")
    tokens = family("gen_ai_client_token_usage")
    spent = _sum(family("", "ai_tokens_total")) if tokens is None else _durations(tokens)
    connections = family("db_client_connection_count")
    if connections is None:
        in_use = _sum(family("", "db_connections"))
    else:
        in_use = _sum(connections, lambda labels: labels.get("db_client_connection_state", "used") == "used")
    return Figures(
        requests=_requests(served),
        latency=_durations(served),
        sessions=_sum(family("kpi_chat_sessions_active", "active_sessions")),
        messages=_by(messages, "kpi_chat_role", "role"),
        languages=_by(messages, "kpi_chat_language", "language"),
        ai=_durations(family("gen_ai_client_operation_duration_seconds", "ai_request_duration_seconds")),
        tokens=_finite(spent.total if isinstance(spent, Durations) else spent),
        connections=in_use,
        queries=_durations(
            family("db_client_operation_duration_seconds", "db_query_duration_seconds"),
            lambda labels: labels.get("db_system_name") != "redis",
        ),
        errors=_by(family("kpi_chat_errors_total", "errors_total"), "error_type", "type"),
    )


def _everything(_labels: dict[str, str]) -> bool:
    return True


def _series(
    family: Family, admitted: Callable[[dict[str, str]], bool] = _everything
) -> Iterator[tuple[dict[str, str], Value]]:
    for text, value in family.series.items():
        labels = labels_of(text)
        if admitted(labels):
            yield labels, value


def _sum(family: Family | None, admitted: Callable[[dict[str, str]], bool] = _everything) -> Number | None:
    if family is None:
        return None
    values = [value for _, value in _series(family, admitted) if isinstance(value, int | float)]
    return _finite(sum(values)) if values else None


def _by(family: Family | None, *names: str) -> dict[str, Number] | None:
    """Sums by the value of the first of these labels that a series has, the largest first."""
    if family is None:
        return None
    sums: dict[str, Number] = {}
    for labels, value in _series(family):
        key = next((labels[name] for name in names if name in labels), _WITHOUT)
        if isinstance(value, int | float) and math.isfinite(value):
            sums[key] = sums.get(key, 0) + value
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def _durations(
    family: Family | None, admitted: Callable[[dict[str, str]], bool] = _everything
) -> Durations | None:
    if family is None:
        return None
    values = [
        value for _, value in _series(family, admitted) if isinstance(value, Distribution | Exponential)
    ]
    if not values:
        return None
    count, total = sum(value.count() for value in values), sum(value.total for value in values)
    buckets: tuple[tuple[float, int], ...] = ()
    # While a deployment changes the aggregation there are both kinds, and no common buckets.
    if len({type(value) for value in values}) == 1:
        buckets = _buckets(reduce(added, values))
    return Durations(count, total, buckets)


def _buckets(value: Value) -> tuple[tuple[float, int], ...]:
    if isinstance(value, Exponential):
        return tuple(value.buckets())
    if not isinstance(value, Distribution):
        return ()
    return tuple(zip(value.bounds, accumulate(value.counts), strict=False))


def _requests(family: Family | None) -> tuple[int, int] | None:
    """How many were answered well, and how many not; one that has no status was not."""
    if family is None:
        return None
    good = bad = 0
    for labels, value in _series(family):
        if isinstance(value, Distribution | Exponential):
            status = labels.get("http_response_status_code", labels.get("status_code", ""))
            if status.isdecimal() and int(status) < _FIRST_ERROR:
                good += value.count()
            else:
                bad += value.count()
    return good, bad


def _finite(value: Number | None) -> Number | None:
    return value if value is not None and math.isfinite(value) else None
