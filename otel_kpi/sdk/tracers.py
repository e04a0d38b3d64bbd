"""A tracer provider that remembers its tracers.

opentelemetry-sdk sets a filter for warnings each time it is asked for a tracer, and upstream's instrumentors of
databases ask for each connection. Python then forgets which warnings it has shown: one that an application gives
in a loop, and that is printed once, would be printed for every connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import TracerProvider

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import Attributes

_MOST: Final = 1000
"""Names made without bound are not remembered for good."""


class RememberingTracerProvider(TracerProvider):
    """Asks opentelemetry-sdk once for each name, version and schema."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._remembered: dict[tuple[str, str | None, str | None], Tracer] = {}

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """Give the tracer of a scope."""
        key = (instrumenting_module_name, instrumenting_library_version, schema_url)
        tracer = None if attributes else self._remembered.get(key)
        if tracer is None:
            tracer = super().get_tracer(*key, attributes)
            if not attributes and len(self._remembered) < _MOST:
                self._remembered[key] = tracer
        return tracer
