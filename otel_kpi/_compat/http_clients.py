"""Private parts of upstream's instrumentors of HTTP clients: where they measure, and what they leave unmeasured."""

from __future__ import annotations

import time
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Failed = Callable[[BaseException], None]

_MARK: Final = "_otel_kpi_records_failures"
_begun: Final[ContextVar[Any]] = ContextVar("otel_kpi_urllib3_begun", default=None)
"""The request of urllib3's whose span has just begun."""


def record_failures_of_httpx(failed: Failed) -> None:
    """Have upstream's instrumentor measure a request that raises: it raises itself before it does.

    Its wrappers are given the histograms, and no hook is told of errors.

    Args:
        failed: Told of an error of ours.
    """
    from opentelemetry.instrumentation import httpx as upstream

    cls = upstream._BaseHTTPXClientInstrumentor
    if getattr(cls, _MARK, False):
        return
    handle, handle_async = cls._handle_request_wrapper, cls._handle_async_request_wrapper

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any, **options: Any) -> Any:
        def watched(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return wrapped(*given, **named)
            except Exception as error:
                # In the context of upstream's span, so that an exemplar leads to it.
                _failed_in_httpx(failed, options, (given, named), error, time.perf_counter() - start)
                raise

        return handle(watched, instance, args, kwargs, **options)

    async def async_wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any, **options: Any) -> Any:
        async def watched(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return await wrapped(*given, **named)
            except Exception as error:
                _failed_in_httpx(failed, options, (given, named), error, time.perf_counter() - start)
                raise

        return await handle_async(watched, instance, args, kwargs, **options)

    cls._handle_request_wrapper = staticmethod(wrapper)  # type: ignore[method-assign] # what this is for
    cls._handle_async_request_wrapper = staticmethod(async_wrapper)  # type: ignore[method-assign] # the same
    setattr(cls, _MARK, True)


def _failed_in_httpx(
    failed: Failed, options: dict[str, Any], call: tuple[Any, Any], error: Exception, seconds: float
) -> None:
    from opentelemetry.instrumentation import httpx as upstream
    from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled

    try:
        mode, module, excluded = (
            options[name] for name in ("sem_conv_opt_in_mode", "module", "excluded_urls")
        )
        if not is_http_instrumentation_enabled():
            return
        method, url, headers, _, _ = upstream._extract_parameters(*call, module)
        if excluded and excluded.url_disabled(upstream._normalize_url(url)):
            return
        measured: dict[str, Any] = {}
        upstream._apply_request_client_attributes_to_span(
            {}, measured, url, method.decode(), mode, module, headers, None, None
        )
        histograms = (options["duration_histogram_old"], options["duration_histogram_new"])
        _record(histograms, measured, error, seconds)
    except Exception as own:
        failed(own)


def record_failures_of_urllib3(failed: Failed) -> None:
    """Have upstream's instrumentor measure a request that raises, and say `error.type` on its span.

    Args:
        failed: Told of an error of ours.
    """
    import urllib3.connectionpool
    from opentelemetry.instrumentation import urllib3 as upstream
    from wrapt import wrap_function_wrapper

    if getattr(upstream, _MARK, False):
        return
    instrument = upstream._instrument

    def instrument_with_failures(tracer: Any, old: Any, new: Any, *rest: Any, **options: Any) -> Any:
        hook = options.get("request_hook")

        def begin(span: Any, pool: Any, request: Any) -> None:
            if callable(hook):
                hook(span, pool, request)
            _begun.set((span, request.method, (old, new), options["sem_conv_opt_in_mode"]))

        return instrument(tracer, old, new, *rest, **{**options, "request_hook": begin})

    def urlopen(wrapped: Any, pool: Any, args: Any, kwargs: Any) -> Any:
        begun = _begun.get()
        if begun is None:
            return wrapped(*args, **kwargs)
        _begun.set(None)  # retries and redirects call it again, inside of this one
        start = time.perf_counter()
        try:
            return wrapped(*args, **kwargs)
        except Exception as error:
            _failed_in_urllib3(failed, begun, pool, error, time.perf_counter() - start)
            raise

    # The innermost: what upstream wraps later calls it where its span is current.
    wrap_function_wrapper(urllib3.connectionpool.HTTPConnectionPool, "urlopen", urlopen)
    upstream._instrument = instrument_with_failures
    setattr(upstream, _MARK, True)


def _failed_in_urllib3(failed: Failed, begun: Any, pool: Any, error: Exception, seconds: float) -> None:
    from opentelemetry.instrumentation import urllib3 as upstream
    from opentelemetry.util.http import sanitize_method

    try:
        span, method, histograms, mode = begun
        if histograms[1] is not None:
            span.set_attribute("error.type", type(error).__qualname__)
        measured: dict[str, Any] = {}
        no_response: Any = SimpleNamespace(version=None)
        upstream._set_metric_attributes(measured, pool, no_response, method, sanitize_method(method), mode)
        _record(histograms, measured, error, seconds)
    except Exception as own:
        failed(own)


def _record(histograms: tuple[Any, Any], measured: dict[str, Any], error: Exception, seconds: float) -> None:
    """Record a duration with those attributes that upstream's lists let through."""
    from opentelemetry.instrumentation import _semconv

    former, stable = _semconv._client_duration_attrs_old, _semconv._client_duration_attrs_new
    old, new = histograms
    if old is not None:
        attributes = {name: value for name, value in measured.items() if name in former}
        old.record(round(seconds * 1000), attributes=attributes)
    if new is not None:
        attributes = {name: value for name, value in measured.items() if name in stable}
        new.record(seconds, attributes=attributes | {"error.type": type(error).__qualname__})
