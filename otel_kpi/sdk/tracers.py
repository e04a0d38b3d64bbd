"""A tracer provider that remembers its tracers, and lets one place decide under what a span begins.

A sampler, an id generator or a processor of the application's that raises costs the telemetry of that span: the call
that begins or ends one goes on.

opentelemetry-sdk sets a filter for warnings each time it is asked for a tracer, and upstream's instrumentors of
databases ask for each connection. Python then forgets which warnings it has shown: one that an application gives
in a loop, and that is printed once, would be printed for every connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanKind, get_current_span

from otel_kpi import _compat
from otel_kpi.sdk.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span
    from opentelemetry.trace import Tracer as AnyTracer
    from opentelemetry.util.types import Attributes

    Place = Callable[[str, Context | None, SpanKind, Sequence[Link]], tuple[Context | None, Sequence[Link]]]

_WHERE: Final = "the start of a span"
_MOST: Final = 1000
"""Names made without bound are not remembered for good."""


class PlacingTracer(Tracer):
    """A tracer of opentelemetry-sdk that asks its provider under what a span begins."""

    provider: RememberingTracerProvider
    scope: str

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        *rest: Any,
        **options: Any,
    ) -> Span:
        """Start a span; one that records nothing where that fails. Never raises."""
        try:
            place = self.provider.place
            if place is not None:
                context, links = place(self.scope, context, kind, links or ())
            return super().start_span(name, context, kind, attributes, links, *rest, **options)
        except Exception as error:
            FAULTS.failed(_WHERE, error)
        # What it calls goes on in the trace of the span around it.
        return NonRecordingSpan(get_current_span(context).get_span_context())


class RememberingTracerProvider(TracerProvider):
    """Asks opentelemetry-sdk once for each name, version and schema.

    Attributes:
        place: Gives context and links of a span that is about to start, of its scope, context, kind and links;
            `None` leaves them as they are.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{"active_span_processor": _compat.guarded_span_processors(FAULTS.failed), **options}
        )
        self.place: Place | None = None
        self._remembered: dict[tuple[str, str | None, str | None], AnyTracer] = {}

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> AnyTracer:
        """Give the tracer of a scope."""
        key = (instrumenting_module_name, instrumenting_library_version, schema_url)
        tracer = None if attributes else self._remembered.get(key)
        if tracer is None:
            tracer = super().get_tracer(*key, attributes)
            if type(tracer) is Tracer:
                tracer.__class__ = PlacingTracer
                vars(tracer).update(provider=self, scope=instrumenting_module_name)
            if not attributes and len(self._remembered) < _MOST:
                self._remembered[key] = tracer
        return tracer
