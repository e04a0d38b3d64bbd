"""The same series from the store of `otel-kpi dev`, in which each call has a row: sums of them, without a Prometheus.

What the rules of Prometheus and the rates of the processes say is not in it, so nothing is said of what is coming, and
nothing is converted.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from otel_kpi.spending.source import Series, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from otel_kpi.spending.period import Period
    from otel_kpi.spending.source import Query

    _Labels = tuple[tuple[str, str], ...]
    _Counted = dict[str, dict[_Labels, Decimal]]

_SECOND: Final = 1_000_000_000
_LONGEST: Final = 86_400 * _SECOND
"""No call takes a day; the index knows when they began, and they are counted when they end."""
_ERROR: Final = 2
_COST: Final = "kpi_llm_cost_total"
_TOKENS: Final = "kpi_llm_tokens_total"
_CALLS: Final = "gen_ai_client_operation_duration_seconds_count"
_UNPRICED: Final = "kpi_llm_unpriced_total"
_NO_AMOUNT: Final = "no_amount"
_CALL_SQL: Final = (
    "SELECT c.status, m.s, p.s, f.s, t.s, v.name, s.resource, c.input_tokens, c.output_tokens, c.cached_tokens,"
    " c.cache_write_tokens, c.reasoning_tokens, c.cost, c.currency, c.unpriced FROM llm_call c"
    " JOIN span s ON s.id = c.span LEFT JOIN service v ON v.id = s.service LEFT JOIN str m ON m.id = c.model"
    " LEFT JOIN str p ON p.id = c.provider LEFT JOIN str f ON f.id = c.feature LEFT JOIN str t ON t.id = c.tenant"
    " WHERE c.start_ns > ? AND c.start_ns <= ? AND c.start_ns + c.dur_ns > ? AND c.start_ns + c.dur_ns <= ?"
)


class StoreSource:
    """The file of `otel-kpi dev`, also while that is running.

    Args:
        path: Of the file.

    Raises:
        SourceError: It is not there, or no such file; or this installation cannot read it.
    """

    def __init__(self, path: Path) -> None:
        try:
            from otel_kpi.dev.store.files import StoreError, open_for_reading
        except ImportError as error:
            raise SourceError(f"{error.name} is not installed: pip install 'otel-kpi[dev]'") from error
        try:
            self._reader = open_for_reading(path)
        except StoreError as error:
            raise SourceError(str(error)) from error
        self._path = path
        self._environments: dict[int, str] = {}
        self._counted: dict[tuple[int, int], _Counted] = {}

    def read(self, query: Query) -> list[Series]:
        """The sum of each series in a time."""
        period = query.period
        counted = self._counted.get((period.start, period.end))
        if counted is None:
            counted = self._counted[period.start, period.end] = self._count(period)
        wanted = query.labels.items()
        return [
            Series(named, value)
            for labels, value in counted.get(query.metric, {}).items()
            for named in [dict(labels)]
            if wanted <= named.items()
        ]

    def latest(self, names: Iterable[str], labels: Mapping[str, str]) -> dict[str, list[Series]]:  # noqa: ARG002 - as every source
        """No gauge: what is coming and what currencies are worth is not worked out here."""
        return {}

    def close(self) -> None:
        """Leave the file."""
        self._reader.close()

    def _count(self, period: Period) -> _Counted:
        import sqlite3

        start, end = period.start * _SECOND, period.end * _SECOND
        found: defaultdict[str, defaultdict[_Labels, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        try:
            rows = self._reader.execute(_CALL_SQL, (start - _LONGEST, end, start, end)).fetchall()
            environments = {number: self._environment(number) for number in {row[6] for row in rows}}
        except sqlite3.Error as error:
            raise SourceError(f"{self._path} cannot be read: {error}") from error
        for status, model, provider, feature, tenant, app, resource, *usage, cost, currency, reason in rows:
            named = (
                ("gen_ai_request_model", model),
                ("gen_ai_provider_name", provider),
                ("kpi_feature", feature),
                ("kpi_tenant", tenant),
                ("app", app),
                ("environment", environments[resource]),
            )
            labels = tuple((label, value) for label, value in named if value)
            found[_CALLS][labels] += 1
            for name, tokens in _classes(*usage):
                if tokens:
                    found[_TOKENS][*labels, ("kpi_llm_token_class", name)] += tokens
            if cost is not None:
                found[_COST][*labels, ("gen_ai_usage_cost_currency", currency)] += Decimal(cost)
            elif reason or status != _ERROR:
                found[_UNPRICED][*labels, ("kpi_llm_reason", reason or _NO_AMOUNT)] += 1
        return {name: dict(series) for name, series in found.items()}

    def _environment(self, number: int) -> str:
        """As the Collector writes it beside the series that Prometheus keeps."""
        import json

        if number not in self._environments:
            row = self._reader.execute(
                "SELECT h.keys, r.attrs FROM resource r JOIN shape h ON h.id = r.shape WHERE r.id = ?",
                (number,),
            ).fetchone()
            said = dict(zip(json.loads(row[0]), json.loads(row[1]), strict=False)) if row else {}
            given = said.get("deployment.environment.name") or said.get("deployment.environment")
            self._environments[number] = str(given or "unknown")
        return self._environments[number]


def _classes(
    sent: int | None, made: int | None, cached: int | None, cache_write: int | None, reasoning: int | None
) -> tuple[tuple[str, int], ...]:
    """Each token under the one heading under which it is billed."""
    read, write, thought = cached or 0, cache_write or 0, reasoning or 0
    return (
        ("input", max(0, (sent or 0) - read - write)),
        ("cache_read", read),
        ("cache_write", write),
        ("output", max(0, (made or 0) - thought)),
        ("reasoning", thought),
    )
