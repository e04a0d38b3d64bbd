"""Upstream's metrics of inferences under the names of the latest conventions, where those are asked for."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import genai
from otel_kpi.packs.llm import handles, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.record import HistogramHandle

_CALL: Final = (
    names.OPERATION,
    names.PROVIDER,
    names.REQUEST_MODEL,
    names.RESPONSE_MODEL,
    "kpi.tenant",
    "kpi.feature",
)


class _Latest:
    """Takes what upstream records with one of its histograms, and records it with ours."""

    __slots__ = ("_handle", "_names", "_upstream")

    def __init__(self, handle: HistogramHandle, labels: tuple[str, ...], upstream: Any) -> None:
        self._handle = handle
        self._names = labels
        self._upstream = upstream

    def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        given = attributes or {}
        found = self._handle.series(*[given.get(name) for name in self._names])
        if found is not None:
            instrument, labels = found
            instrument.record(amount, labels, context=context)
        if self._upstream is not None:
            self._upstream.record(amount, attributes=attributes, context=context)


class _Nothing:
    """Has no name in the latest generation as a histogram: the counters of `packs/llm/calls.py` say it."""

    def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        """Record nothing."""


class _Instruments:
    """The instruments of upstream's, with those of inferences replaced."""

    def __init__(self, upstream: Any, *, installed: bool) -> None:
        self._upstream = upstream
        kept: Callable[[Any], Any] = (lambda each: each) if installed else (lambda _each: None)
        self.operation_duration = _Latest(
            handles.latest_duration, (*_CALL, "error.type"), kept(upstream.operation_duration)
        )
        self.time_to_first_chunk = _Latest(
            handles.latest_first_chunk, _CALL, kept(upstream.time_to_first_chunk)
        )
        self.time_per_output_chunk = _Latest(
            handles.latest_per_chunk, _CALL, kept(upstream.time_per_output_chunk)
        )
        self.token_usage = upstream.token_usage if installed else _Nothing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._upstream, name)


def choose(invocation: Any) -> None:
    """Have an inference record under the names that are asked for by `OTEL_KPI_GENAI_NAMES`."""
    installed, latest = names.generations()
    if latest:
        upstream = genai.instruments_of(invocation)
        genai.record_with(invocation, _replaced(upstream, installed))


@functools.lru_cache(maxsize=64)
def _replaced(upstream: Any, installed: bool) -> _Instruments:  # noqa: FBT001 - a key of the cache
    return _Instruments(upstream, installed=installed)
