"""Flask: a SERVER span from the moment when the server calls, named after the rule when it has matched.

Upstream begins in the first `before_request`, after sessions were opened and middlewares were passed
(open-telemetry/opentelemetry-python-contrib#1397), ends before a streamed response does
(#3402), and replaces the name `flask.Flask`. Here `Flask.__call__` is wrapped, and the rest is what Flask tells
whoever wants to know: its signals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.servers.server_request import MARK, ServerRequest, current_request

if TYPE_CHECKING:
    from otel_kpi.instrumentation.servers.wsgi import Traced

_NAME: Final = "flask"


class Instrumentor:
    """Instruments every Flask application that the user has not instrumented."""

    is_instrumented_by_opentelemetry: Final = False
    """Every application says for itself."""

    def __init__(self) -> None:
        self._listeners: tuple[Any, ...] = ()

    def instrument(self, **_options: Any) -> None:
        """Wrap `Flask.__call__`, for subclasses and existing applications too, and listen to Flask's signals."""
        import flask
        from wrapt import wrap_function_wrapper

        from otel_kpi.instrumentation.servers.wsgi import Traced

        boundary = Boundary(_NAME)
        requests = Traced(_no_application, _NAME)
        wrap_function_wrapper(flask.Flask, "__call__", _calls(requests))
        # Signals hold their receivers weakly.
        self._listeners = (boundary.listener(_matched), boundary.listener(_raised))
        flask.request_started.connect(self._listeners[0])
        flask.got_request_exception.connect(self._listeners[1])

    def uninstrument(self) -> None:
        """Unwrap, and listen no more."""
        import flask
        from opentelemetry.instrumentation.utils import unwrap

        unwrap(flask.Flask, "__call__")
        if self._listeners:
            flask.request_started.disconnect(self._listeners[0])
            flask.got_request_exception.disconnect(self._listeners[1])
        self._listeners = ()


def _no_application(_environ: Any, _start_response: Any) -> Any:
    raise NotImplementedError  # `respond` is called, with the application of each request


def _calls(requests: Traced) -> Any:
    def call(wrapped: Any, app: Any, args: Any, kwargs: Any) -> Any:
        if kwargs or len(args) != 2 or _instrumented_by_hand(app):  # noqa: PLR2004 - environ, start_response
            return wrapped(*args, **kwargs)
        return requests.respond(wrapped, *args)

    return call


def _instrumented_by_hand(app: Any) -> bool:
    """Say whether upstream's instrumentor has this application: by `instrument_app`, or as its own subclass."""
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        return True
    return any(cls.__module__ == "opentelemetry.instrumentation.flask" for cls in type(app).__mro__)


def _matched(_sender: Any, **_: Any) -> None:
    import flask

    request = _request()
    rule = flask.request.url_rule
    if request is None or rule is None:
        return
    mounted = (flask.request.environ.get("SCRIPT_NAME") or "").removeprefix(request.root)
    route = f"{mounted}{rule.rule}"
    # One that is mounted in another application adds to its route; one that is called by its test client does not.
    known = request.attributes.get("http.route", "")
    if flask.request.environ.get(MARK) is request or route.startswith(known):
        request.set_route(route)


def _raised(_sender: Any, exception: BaseException, **_: Any) -> None:
    request = _request()
    if request is not None:
        request.failed(exception)


def _request() -> ServerRequest | None:
    import flask

    request = flask.request.environ.get(MARK) or current_request()
    return request if isinstance(request, ServerRequest) and request.running else None
