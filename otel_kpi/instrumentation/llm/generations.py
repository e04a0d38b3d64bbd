"""The histograms of upstream's: added up before the SDK sees them, and under the names that are asked for.

A value through opentelemetry-api takes 10 µs, and a stream has one for each of its parts; see `record.adopt`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_kpi import record
from otel_kpi._compat import genai
from otel_kpi.packs.llm import handles, instruments, names

if TYPE_CHECKING:
    from otel_kpi.record import HistogramHandle

_CALL: Final = (
    names.OPERATION,
    names.PROVIDER,
    names.REQUEST_MODEL,
    names.RESPONSE_MODEL,
    "kpi.tenant",
    "kpi.feature",
)
_MOST: Final = 64
"""Instrumentors whose histograms are added up; upstream makes them once for each of its own."""


class _Latest:
    """Takes what upstream records with one of its histograms, and records it with ours."""

    __slots__ = ("_besides", "_handle", "_names")

    def __init__(self, handle: HistogramHandle, labels: tuple[str, ...], besides: Any) -> None:
        self._handle = handle
        self._names = labels
        self._besides = besides

    def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        given = attributes or {}
        self._handle.record(amount, *map(given.get, self._names), context=context)
        if self._besides is not None:
            self._besides.record(amount, attributes=attributes, context=context)


class _Nothing:
    """Has no name in the latest generation as a histogram: the counters of `packs/llm/calls.py` say it."""

    def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        """Record nothing."""


class _Instruments:
    """The instruments of upstream's, with those of calls of models replaced by ones that add up."""

    def __init__(self, upstream: Any) -> None:
        self._upstream = upstream
        self.operation_duration: Any = record.adopt(instruments.CALL_DURATION, upstream.operation_duration)
        self.token_usage: Any = record.adopt(instruments.TOKEN_USAGE, upstream.token_usage)
        self.time_to_first_chunk: Any = record.adopt(instruments.FIRST_CHUNK, upstream.time_to_first_chunk)
        self.time_per_output_chunk: Any = record.adopt(instruments.PER_CHUNK, upstream.time_per_output_chunk)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._upstream, name)


class _LatestInstruments:
    """The same, under the names of the latest conventions."""

    def __init__(self, installed: _Instruments, *, besides: bool) -> None:
        self._installed = installed

        def latest(handle: HistogramHandle, labels: tuple[str, ...], histogram: Any) -> _Latest:
            return _Latest(handle, labels, histogram if besides else None)

        self.operation_duration = latest(
            handles.latest_duration, (*_CALL, "error.type"), installed.operation_duration
        )
        self.time_to_first_chunk = latest(handles.latest_first_chunk, _CALL, installed.time_to_first_chunk)
        self.time_per_output_chunk = latest(handles.latest_per_chunk, _CALL, installed.time_per_output_chunk)
        self.token_usage = installed.token_usage if besides else _Nothing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._installed, name)


class _Generations:
    """What is recorded with in the place of one set of upstream's instruments."""

    __slots__ = ("both", "installed", "latest")

    def __init__(self, upstream: Any) -> None:
        self.installed = _Instruments(upstream)
        self.latest = _LatestInstruments(self.installed, besides=False)
        self.both = _LatestInstruments(self.installed, besides=True)


_made: Final[dict[Any, _Generations]] = {}


def choose(invocation: Any, *, embedding: bool) -> None:
    """Have a call record what `OTEL_KPI_GENAI_NAMES` asks for; the latest generation says nothing of embeddings."""
    upstream = genai.instruments_of(invocation)
    made = _made.get(upstream)
    if made is None:
        if len(_made) >= _MOST:
            return
        made = _made.setdefault(upstream, _Generations(upstream))
    installed, latest = names.generations()
    if embedding or not latest:
        genai.record_with(invocation, made.installed)
    else:
        genai.record_with(invocation, made.both if installed else made.latest)
