"""Private parts of sentry-sdk, and of what links its events to traces."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
from typing import TYPE_CHECKING, Any

from otel_kpi._compat.runtime import after_import

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator

# --- sentry-sdk and what links its events


def on_record_exception(stamp: Callable[[Any, BaseException], None]) -> None:
    """Call `stamp(span, error)` whenever a span of opentelemetry-sdk records an exception.

    A span processor sees the event's text and not the exception object.
    """
    from opentelemetry.sdk.trace import Span

    original = Span.record_exception

    def record_exception(self: Span, exception: BaseException, *args: Any, **kwargs: Any) -> None:
        stamp(self, exception)
        original(self, exception, *args, **kwargs)

    Span.record_exception = record_exception


def thread_context(thread: threading.Thread | None) -> Any:
    """Give the OpenTelemetry context that upstream's ThreadingInstrumentor left on a thread, or None.

    It is detached before `threading.excepthook` runs.
    """
    return getattr(thread, "_otel_context", None)


def load_without(name: str, refused: str) -> Any:
    """Import a module whose optional import of the package `refused` fails.

    Unlike a gap in `sys.modules` it concerns no other module and no other thread. Once `refused` is imported by
    the application, nothing is kept from it.
    """
    import builtins
    from importlib import import_module, util

    if name in sys.modules or refused in sys.modules:
        return import_module(name)
    spec = util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name)

    def guarded(target: str, *args: Any, **kwargs: Any) -> Any:
        if target.partition(".")[0] == refused and refused not in sys.modules:
            raise ImportError(f"{refused} is not used by this process", name=refused)
        return builtins.__import__(target, *args, **kwargs)

    module: Any = util.module_from_spec(spec)
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": guarded}
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


@contextlib.contextmanager
def sentry_without_django() -> Generator[None]:
    """Keep `sentry_sdk.init` from importing Django, which it does for Spotlight (0.2 s) wherever it is installed."""
    mine = "sentry_sdk.spotlight" not in sys.modules and "django" not in sys.modules
    load_without("sentry_sdk.spotlight", "django")
    try:
        yield
    finally:
        if mine:
            # A later `init` of the application finds the whole module.
            sys.modules.pop("sentry_sdk.spotlight", None)


def sentry_transport(
    lost: Callable[[str, int], None],
    outcome: Callable[[str | None], None],
    gate: Any = None,
    tunnel: str | None = None,
) -> type[Any]:
    """Make a transport that leaves no span of its own, retries no silently queued request and tells its outcome.

    What is decided about an envelope when it is captured and when its turn has come, the SDK decides in methods of
    its transport; the options have callbacks for events only.

    Args:
        lost: Called with the reason and the number of events that will not arrive.
        outcome: Called after each request with what went wrong, or None.
        gate: `enter(envelope)` and `leave(envelope)` say whether an envelope goes on, when it is captured and in
            the thread that sends; `hurry()` is called when what waits is wanted now.
        tunnel: Where envelopes are sent instead of the host of the DSN, which is then written in each of them.
    """
    from opentelemetry.instrumentation.utils import suppress_instrumentation
    from sentry_sdk.transport import HttpTransport

    class Transport(HttpTransport):
        def _get_pool_options(self) -> dict[str, Any]:
            # urllib3 writes a warning for each retry; Sentry drops and counts what fails.
            return {**super()._get_pool_options(), "retries": False}

        def _request(self, *args: Any, **kwargs: Any) -> Any:
            with suppress_instrumentation():
                try:
                    response = super()._request(*args, **kwargs)
                except Exception as error:
                    outcome(type(error).__name__)
                    raise
            status = response.status
            if status != 429:  # noqa: PLR2004 - a rate limit is an answer
                outcome(None if status < 300 else f"HTTP {status}")  # noqa: PLR2004 - statuses are their own names
            return response

        def record_lost_event(
            self, reason: str, data_category: Any = None, item: Any = None, *, quantity: int = 1
        ) -> None:
            if (item.data_category if item is not None else data_category) == "error":
                lost(reason, quantity)
            super().record_lost_event(reason, data_category, item, quantity=quantity)

    made = Transport if gate is None else _gated(Transport, gate)
    return made if tunnel is None else _through(made, tunnel)


def _gated(transport: Any, gate: Any) -> type[Any]:
    """The same transport for those envelopes only that a gate lets through."""

    class GatedTransport(transport):
        def capture_envelope(self, envelope: Any) -> None:
            if gate.enter(envelope):
                super().capture_envelope(envelope)

        def _send_envelope(self, envelope: Any) -> None:
            if gate.leave(envelope):
                super()._send_envelope(envelope)

        def flush(self, timeout: float, callback: Any = None) -> None:
            gate.hurry()
            super().flush(timeout, callback)

    return GatedTransport


def _through(transport: Any, tunnel: str) -> type[Any]:
    """The same transport to another address; each envelope says for which project it is."""

    class _Auth:
        def __init__(self, auth: Any) -> None:
            self._auth = auth

        def __getattr__(self, name: str) -> Any:
            return getattr(self._auth, name)

        def get_api_url(self, *_: Any) -> str:
            return tunnel

    class TunnelTransport(transport):
        def __init__(self, options: Any) -> None:
            super().__init__(options)
            self._auth = _Auth(self._auth)
            # The forwarder reads the first line of an envelope, and Brotli is no part of Python.
            self._compression_algo, self._compression_level = "gzip", 9

        def _make_pool(self) -> Any:
            # A proxy is how one leaves the network; the tunnel is inside.
            from urllib3 import PoolManager

            return PoolManager(**self._get_pool_options())

        def _send_envelope(self, envelope: Any) -> None:
            envelope.headers["dsn"] = str(self.options["dsn"])
            super()._send_envelope(envelope)

    return TunnelTransport


def add_sentry_breadcrumb(crumb: dict[str, Any], most: int) -> None:
    """Leave a breadcrumb in the current request as it is.

    The public way asks for the client, copies the breadcrumb twice and calls back: 10 µs for each client span.

    Args:
        crumb: With `timestamp`, a datetime in UTC.
        most: Breadcrumbs of a request that are kept.
    """
    from sentry_sdk import get_isolation_scope

    scope = get_isolation_scope()
    crumbs = scope._breadcrumbs
    crumbs.append(crumb)
    while len(crumbs) > most:
        crumbs.popleft()
        scope._n_breadcrumbs_truncated += 1


def sentry_clients(
    initialised: Callable[[Any], None],
    prepared: Callable[[Any, Any], Any],
    collected: Callable[[Any], Any],
) -> None:
    """Be told of every client of this process, whoever makes it and whenever.

    The SDK has no hook for another party's client after its serialiser and its `before_send`, nor one for the log
    records and metrics that a client collects.

    Args:
        initialised: Called with a client that has been made.
        prepared: Called with a client and the event it is about to send; answers the event, or None to drop it.
        collected: Called with a log record, metric or span of Sentry's own; answers what is sent of it.
    """
    from sentry_sdk import client

    module: Any = client
    kind: Any = module._Client
    initialise, prepare = kind.__init__, kind._prepare_event

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it takes the place of one
        initialise(self, *args, **kwargs)
        initialised(self)

    def _prepare_event(self: Any, *args: Any, **kwargs: Any) -> Any:
        event = prepare(self, *args, **kwargs)
        return None if event is None else prepared(self, event)

    kind.__init__ = functools.wraps(initialise)(__init__)
    kind._prepare_event = _prepare_event
    for batcher in (module.LogBatcher, module.MetricsBatcher, module.SpanBatcher):
        _wrap_batcher(batcher, collected)


def _wrap_batcher(batcher: Any, collected: Callable[[Any], Any]) -> None:
    add = batcher.add

    def adding(self: Any, item: Any) -> None:
        add(self, collected(item))

    batcher.add = adding


def sentry_frameworks(active: Callable[[], bool], entered: Callable[[], None]) -> None:
    """Switch on Sentry's integration of a framework once the application has imported the framework.

    `auto_enabling_integrations` imports every framework that is installed (1.2 s with Django, FastAPI and
    SQLAlchemy). They can be added to a running client only through its `integrations` mapping.

    Args:
        active: Whether the current client is ours; an application's own client is left alone.
        entered: Called when a request has reached its endpoint, in the context of its span.
    """

    def add(make: Callable[[], Any]) -> None:
        try:
            if active():
                _add_sentry_integration(make())
        except Exception as error:
            logging.getLogger("otel_kpi.sentry").warning(
                "A framework integration of Sentry is off (%s: %s)", type(error).__name__, error
            )

    after_import("starlette.applications", lambda _module: add(lambda: _starlette_integration(entered)))
    after_import("fastapi", lambda _module: add(lambda: _fastapi_integration(entered)))
    after_import("flask", lambda _module: add(_flask_integration))
    after_import("celery.app.trace", lambda _module: add(_celery_integration))
    after_import(
        "django.core.handlers.base",
        lambda module: _before_load_middleware(module, lambda: add(_django_integration)),
    )


def _add_sentry_integration(integration: Any) -> None:
    import sentry_sdk
    from sentry_sdk.integrations import setup_integrations

    client = sentry_sdk.get_client()
    client.integrations.update(setup_integrations([integration], with_defaults=False, options=client.options))


def _before_load_middleware(module: Any, action: Callable[[], None]) -> None:
    # The handlers are half imported until then, and the settings may not be known.
    original = module.BaseHandler.load_middleware
    done = False

    def load_middleware(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal done
        if not done:
            done = True
            action()
        return original(self, *args, **kwargs)

    module.BaseHandler.load_middleware = load_middleware


def _call_when_entered(module: Any, entered: Callable[[], None]) -> None:
    # The one thing that the integrations do for each request when the endpoint is known.
    original = module._set_transaction_name_and_source

    def set_transaction_name_and_source(*args: Any, **kwargs: Any) -> None:
        entered()
        original(*args, **kwargs)

    module._set_transaction_name_and_source = set_transaction_name_and_source


def _starlette_integration(entered: Callable[[], None]) -> Any:
    load_without("sentry_sdk.integrations._wsgi_common", "django")
    from sentry_sdk.integrations import starlette

    if "jinja2" not in sys.modules:
        # It would import Jinja2, to offer templates the headers of a tracing that is off.
        starlette.patch_templates = lambda: None
    _call_when_entered(starlette, entered)
    return starlette.StarletteIntegration()


def _fastapi_integration(entered: Callable[[], None]) -> Any:
    from sentry_sdk.integrations import fastapi

    _call_when_entered(fastapi, entered)
    return fastapi.FastApiIntegration()


def _flask_integration() -> Any:
    load_without("sentry_sdk.integrations._wsgi_common", "django")
    from sentry_sdk.integrations.flask import FlaskIntegration

    return FlaskIntegration()


def _celery_integration() -> Any:
    from sentry_sdk.integrations.celery import CeleryIntegration

    return CeleryIntegration(propagate_traces=False)


def _django_integration() -> Any:
    from sentry_sdk.integrations import django

    # A span of each statement becomes a breadcrumb; the integration would leave a second one.
    django.install_sql_hook = lambda: None

    _wsgi_common: Any = sys.modules["sentry_sdk.integrations._wsgi_common"]
    if _wsgi_common.RawPostDataException is None:  # loaded without Django, for another framework
        from django.http.request import RawPostDataException

        _wsgi_common.RawPostDataException = RawPostDataException
        _wsgi_common._RAW_DATA_EXCEPTIONS = (RawPostDataException, ValueError)
    return django.DjangoIntegration(signals_spans=False)
