"""The frame of every request: items under their scope, scopes under their resource.

The frame is the same for all three signals, and so are its field numbers: a resource message has
``resource``, the scopes and ``schema_url``; a scope message has ``scope``, the items and ``schema_url``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from otel_kpi.sdk.otlp_values import pairs
from otel_kpi.sdk.otlp_writer import Field, Piece, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

_RESOURCE = Field(1, "resource")
_RESOURCE_ATTRIBUTES = Field(1, "attributes")
_SCOPE = Field(1, "scope")
_SCOPE_NAME = Field(1, "name")
_SCOPE_VERSION = Field(2, "version")
_SCOPE_ATTRIBUTES = Field(3, "attributes")
_SCHEMA_URL = Field(3, "schema_url")

_REMEMBERED = 256
"""Resources and scopes that are kept encoded."""


class Frame(Generic[Piece]):
    """Puts encoded items into scopes and resources.

    Args:
        writer: Writes the fields.
        signal: The last word of the field names: ``spans``, ``metrics`` or ``logs``.
        items: The name of the repeated field in a scope message.
    """

    def __init__(self, writer: Writer[Piece], signal: str, items: str) -> None:
        self._writer = writer
        self._resources_field = Field(1, f"resource_{signal}")
        self._scopes_field = Field(2, f"scope_{signal}")
        self._items_field = Field(2, items)
        # Keyed by identity: hashing a resource serialises it. The object is kept with what was made
        # of it, so that no other object can take its identity.
        self._resources: dict[int, tuple[Resource, list[Piece]]] = {}
        self._scopes: dict[InstrumentationScope, list[Piece]] = {}

    def request(self, resources: Sequence[Piece]) -> bytes:
        """The body of the request, from resource messages."""
        writer = self._writer
        content = [writer.messages(self._resources_field, resources)] if resources else []
        return writer.document(writer.join(content))

    def resource(self, resource: Resource | None, scopes: Sequence[Piece]) -> Piece:
        """A resource message with its scope messages."""
        pieces = [] if resource is None else list(self._resource(resource))
        pieces.append(self._writer.messages(self._scopes_field, scopes))
        return self._writer.join(pieces)

    def scope(self, scope: InstrumentationScope | None, items: Sequence[Piece]) -> Piece:
        """A scope message with its items."""
        pieces = [] if scope is None else list(self._scope(scope))
        pieces.append(self._writer.messages(self._items_field, items))
        return self._writer.join(pieces)

    def _resource(self, resource: Resource) -> list[Piece]:
        known = self._resources.get(id(resource))
        if known is not None:
            return known[1]
        writer = self._writer
        attributes = pairs(resource.attributes)
        content = [writer.attributes(_RESOURCE_ATTRIBUTES, attributes)] if attributes else []
        pieces = [writer.message(_RESOURCE, writer.join(content))]
        if resource.schema_url:
            pieces.append(writer.string(_SCHEMA_URL, resource.schema_url))
        if len(self._resources) >= _REMEMBERED:
            self._resources.clear()
        self._resources[id(resource)] = (resource, pieces)
        return pieces

    def _scope(self, scope: InstrumentationScope) -> list[Piece]:
        try:
            known = self._scopes.get(scope)
        except TypeError:  # a version that somebody gave as a list
            return self._scope_pieces(scope)
        if known is None:
            known = self._scope_pieces(scope)
            if len(self._scopes) >= _REMEMBERED:
                self._scopes.clear()
            self._scopes[scope] = known
        return known

    def _scope_pieces(self, scope: InstrumentationScope) -> list[Piece]:
        writer = self._writer
        content: list[Piece] = []
        if scope.name:
            content.append(writer.string(_SCOPE_NAME, scope.name))
        if scope.version:
            content.append(writer.string(_SCOPE_VERSION, scope.version))
        if scope.attributes:
            content.append(writer.attributes(_SCOPE_ATTRIBUTES, pairs(scope.attributes)))
        pieces = [writer.message(_SCOPE, writer.join(content))]
        if scope.schema_url:
            pieces.append(writer.string(_SCHEMA_URL, scope.schema_url))
        return pieces


class Groups(Generic[Piece]):
    """Collects the encoded items of one batch by resource and scope, in order of appearance."""

    def __init__(self, frame: Frame[Piece]) -> None:
        self._frame = frame
        self._last: tuple[Any, Any, list[Piece]] = (self, self, [])
        self._by_identity: dict[tuple[int, int], list[Piece]] = {}
        self._resources: dict[
            int, tuple[Resource | None, list[tuple[InstrumentationScope | None, list[Piece]]]]
        ]
        self._resources = {}

    def place(self, resource: Resource | None, scope: InstrumentationScope | None) -> list[Piece]:
        """The list for items of this resource and scope.

        Both are recognised by identity; the batch keeps them alive. Scopes that are equal though not
        the same come from applications that ask for a tracer at each call: they share one list.
        """
        last_resource, last_scope, items = self._last
        if resource is last_resource and scope is last_scope:
            return items
        identity = (id(resource), id(scope))
        found = self._by_identity.get(identity)
        if found is None:
            _, scopes = self._resources.setdefault(id(resource), (resource, []))
            found = next((items for known, items in scopes if known == scope), None)
            if found is None:
                found = []
                scopes.append((scope, found))
            self._by_identity[identity] = found
        self._last = (resource, scope, found)
        return found

    def body(self) -> bytes:
        """The body of the request with everything that was placed."""
        frame = self._frame
        resources: list[Piece] = []
        for resource, scopes in self._resources.values():
            messages = [frame.scope(scope, items) for scope, items in scopes if items]
            if messages:
                resources.append(frame.resource(resource, messages))
        return frame.request(resources)
