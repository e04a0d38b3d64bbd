"""OpenTelemetry's declarative configuration (`OTEL_CONFIG_FILE`), on our own pipeline.

Upstream builds whole providers from the file, with processors and exporters of its own: no redaction, no budget at
exit, no slots, and what a distribution is told is dropped on that way. Here the file is one more place from which
settings come, and only what settings have no words for is built by upstream.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from otel_kpi.resolution import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.declarative.translation import Declared
    from otel_kpi.resolution import Resolved

__all__ = ["resolve_process"]


def resolve_process(
    environ: Mapping[str, str], code: Mapping[str, Any] = MappingProxyType({})
) -> tuple[Resolved, Declared | None]:
    """Resolve the settings of a process, with its declarative file if it has one.

    Args:
        environ: The environment.
        code: What the program gave, by keyword.

    Returns:
        The settings, and what else the file says; None without a file. Never raises.
    """
    resolved = resolve(environ, code)
    path = resolved.settings.config_file
    if path is None or resolved.settings.sdk_disabled:
        return resolved, None
    from otel_kpi.declarative.translation import read

    declared = read(path, environ)
    return resolve(environ, code, declared.written), declared
