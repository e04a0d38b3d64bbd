"""Libraries of models that have no instrumentor of OpenTelemetry's: what is common to ours.

Each stands on util-genai's handler, as the official ones do, so that spans, metrics, events and content are theirs. A
library's own module says where its methods are, and how a request, an answer, a chunk and a usage are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context

from otel_kpi._version import __version__
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.databases.calls import Methods
from otel_kpi.instrumentation.llm.exchange import Exchange
from otel_kpi.instrumentation.llm.wrappers import named
from otel_kpi.packs.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.context import Context

    from otel_kpi.instrumentation.llm.asked import Method, Request

    Wrapper = Callable[[Any, Any, Any, Any], Any]


class Library:
    """One library: its boundary, its handler, and what is wrapped of it.

    Args:
        name: The row's in the table.
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.boundary: Final = Boundary(name)
        self.methods: Final = Methods()
        self.handler: Any = None

    def activate(self, options: Mapping[str, Any]) -> None:
        """Make the handler.

        Args:
            options: As upstream's instrumentors take them: providers, and the user's own `completion_hook`.

        Raises:
            ModuleNotFoundError: opentelemetry-util-genai is not installed.
        """
        from opentelemetry.util.genai.completion_hook import load_completion_hook
        from opentelemetry.util.genai.handler import TelemetryHandler

        from otel_kpi.instrumentation.llm import invocations

        invocations.follow()
        self.handler = TelemetryHandler(
            tracer_provider=options.get("tracer_provider"),
            meter_provider=options.get("meter_provider"),
            logger_provider=options.get("logger_provider"),
            completion_hook=options.get("completion_hook") or load_completion_hook(),
            instrumentation_scope_name=f"otel_kpi.instrumentation.llm.{self.name}",
            instrumentation_scope_version=__version__,
        )

    def wrap(self, owner: Any, names: Iterable[str], wrapper: Wrapper) -> None:
        """Wrap those methods that `owner` has itself."""
        self.methods.wrap(owner, names, wrapper)

    def watch(self, owner: Any, names: Iterable[str], wrapper: Wrapper) -> None:
        """Wrap methods with what only looks on: what it raises is kept from the application."""
        self.methods.wrap(owner, names, self.boundary.wrap(wrapper))

    def deactivate(self) -> None:
        """Unwrap everything."""
        self.handler = None
        self.methods.unwrap()

    def request(self, method: Method, instance: Any, args: Any, kwargs: Any, function: Any) -> Request | None:
        """Read what is asked; None when the call is to be left alone."""
        if self.handler is None or not self.boundary.open:
            return None
        try:
            return method.request(instance, named(function, args, kwargs))
        except Exception as error:
            self.boundary.failed(error)
            return None

    def begin(self, method: Method, request: Request) -> Exchange | None:
        """Start the span of a call; it is current until the exchange is suspended or has ended.

        Raises:
            Refused: The application asked for a budget, and it is spent.
        """
        try:
            return Exchange(self.handler, self.boundary, method, request)
        except Refused:
            raise
        except Exception as error:
            self.boundary.failed(error)
            return None

    def begin_within(self, before: Context, method: Method, request: Request) -> Exchange | None:
        """Start the span of a stream that is first read now, as the context of its call has it."""
        token = context.attach(before)
        try:
            exchange = self.begin(method, request)
            if exchange is not None:
                exchange.suspend()
            return exchange
        finally:
            context.detach(token)
