"""What the JSON API answers, beside what pages are shown. Pure data: its document is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from otel_kpi.dev.store.reading.calls import Call
    from otel_kpi.dev.store.reading.intake import Clocks, Cut, Kept, Loss, Minute, Sender
    from otel_kpi.dev.store.reading.metrics import Instrument, PointView, Series
    from otel_kpi.dev.store.reading.pipeline_parts import Part
    from otel_kpi.dev.store.reading.pipelines import UnderWay
    from otel_kpi.dev.store.reading.problems import Occurrence, Problem
    from otel_kpi.dev.views import LogView, TraceSummary


@dataclass(frozen=True, slots=True)
class Services:
    """Names of the services that sent spans, sorted."""

    services: Sequence[str]


@dataclass(frozen=True, slots=True)
class TracesFound:
    """Traces, the newest first.

    Attributes:
        more: There are older ones: ask again with `before`.
        capped: The search was ended after a bounded time; there may be more.
    """

    traces: Sequence[TraceSummary]
    more: bool
    capped: bool
    before: int | None


@dataclass(frozen=True, slots=True)
class LlmShare:
    """What the calls of one model, feature, tenant or provider had; amounts by currency, as decimals.

    Attributes:
        unpriced: Calls without an amount, by the reason.
        untold: Calls that did not tell their tokens.
        p50_ns: Duration; None where there was no call.
    """

    name: str
    calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    untold: int
    cost: Mapping[str, Decimal]
    unpriced: Mapping[str, int]
    p50_ns: int | None
    p95_ns: int | None


@dataclass(frozen=True, slots=True)
class LlmSummary:
    """Calls of language models in a time.

    Attributes:
        dearest: By currency.
    """

    start_ns: int
    end_ns: int
    total: LlmShare
    by_model: Sequence[LlmShare]
    by_feature: Sequence[LlmShare]
    by_tenant: Sequence[LlmShare]
    by_provider: Sequence[LlmShare]
    dearest: Mapping[str, Sequence[Call]]
    slowest: Sequence[Call]


@dataclass(frozen=True, slots=True)
class PipelineRuns:
    """Runs, those that ended last first, and those that are not over."""

    runs: Sequence[Part]
    more: bool
    before: int | None
    under_way: Sequence[UnderWay]


@dataclass(frozen=True, slots=True)
class Errors:
    """Groups of exceptions, those seen last first.

    Attributes:
        before: To go on, as it is.
    """

    errors: Sequence[Problem]
    more: bool
    before: str | None


@dataclass(frozen=True, slots=True)
class ErrorFound:
    """A group of exceptions, and the newest times that it happened."""

    error: Problem
    occurrences: Sequence[Occurrence]


@dataclass(frozen=True, slots=True)
class Instruments:
    """All instruments, by meter and name."""

    instruments: Sequence[Instrument]


@dataclass(frozen=True, slots=True)
class InstrumentFound:
    """An instrument and its series, those that were written last first."""

    instrument: Instrument
    series: Sequence[Series]


@dataclass(frozen=True, slots=True)
class Points:
    """Points of a series, the newest first.

    Attributes:
        before: Time of the oldest of them, to go on; None where there are no more.
    """

    points: Sequence[PointView]
    more: bool
    before: int | None


@dataclass(frozen=True, slots=True)
class Logs:
    """Log records, the newest first.

    Attributes:
        before: Row to go on with; None where there are no more.
        capped: The search was ended after a bounded time.
    """

    logs: Sequence[LogView]
    more: bool
    capped: bool
    before: int | None


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of what was sent, and what the store has."""

    minutes: Sequence[Minute]
    senders: Sequence[Sender]
    kept: Kept
    losses: Sequence[Loss]
    cut: Cut
    clocks: Sequence[Clocks]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer.

    Attributes:
        parameter: Which one is wrong; empty where none is.
    """

    error: str
    parameter: str = ""
