"""The OpenAPI description of the endpoints. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._version import __version__
from otel_kpi.endpoints.catalogue import placed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.endpoints.catalogue import Endpoint

TAG: Final = "monitoring"

_MEANINGS: Final = {
    200: "Answered.",
    403: "The caller is not among those who may ask.",
    503: "Must not receive traffic, or has nothing to tell.",
}


def openapi(
    *, prefix: str = "", paths: Mapping[str, str | None] = MappingProxyType({}), title: str = "Monitoring"
) -> dict[str, Any]:
    """Describe the endpoints as an OpenAPI 3.1 document.

    Args:
        prefix: As `add_endpoints` and `endpoints` take it.
        paths: The same.
        title: Of the document.

    Returns:
        The document; one's own may take over its `paths`.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "paths": {path: {"get": operation(each)} for each, path in placed(prefix, paths)},
    }


def operation(endpoint: Endpoint) -> dict[str, Any]:
    """Describe one endpoint."""
    return {
        "tags": [TAG],
        "summary": endpoint.summary,
        "operationId": f"otel_kpi_{endpoint.name}",
        "responses": {str(code): each for code, each in responses(endpoint).items()},
    }


def responses(endpoint: Endpoint) -> dict[int | str, dict[str, Any]]:
    """Describe what one endpoint answers, by status code."""
    return {
        code: {
            "description": _MEANINGS[code],
            "content": {kind: {"schema": schema or {"type": "string"}} for kind, schema in content.items()},
        }
        for code, content in endpoint.responses.items()
    }
