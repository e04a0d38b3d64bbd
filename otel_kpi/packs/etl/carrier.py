"""Where one is, as text that crosses a boundary: to a queue, a subprocess, a file, a column of a table.

Always W3C Trace Context, whatever propagators the process has: the other side may be a year younger. Baggage stays:
it is for those who are asked now.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_kpi.packs.faults import failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span, SpanContext

VARIABLES: Final = ("TRACEPARENT", "TRACESTATE")
SIDECAR: Final = ".trace.json"
_LONGEST: Final = 64 * 1024
_w3c: Final = TraceContextTextMapPropagator()


def carrier(span: Span | None = None) -> dict[str, str]:
    """The current span as a dictionary for a message, `{"traceparent": …}`; empty where there is none.

    Args:
        span: Another span.
    """
    found: dict[str, str] = {}
    try:
        _w3c.inject(found, None if span is None else trace.set_span_in_context(span, Context()))
    except Exception as error:
        failed("a carrier", error)
    return found


def traceparent() -> str | None:
    """The current span as one text, for a column `_traceparent` beside the rows; None where there is none."""
    return carrier().get("traceparent")


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child process whose run shall be linked to the current span.

    Args:
        base: Variables; those of this process unless given.

    Returns:
        A copy with `TRACEPARENT` and `TRACESTATE` of the current span, without those that this process was given.
    """
    variables = {
        name: value for name, value in (os.environ if base is None else base).items() if name not in VARIABLES
    }
    return variables | {name.upper(): value for name, value in carrier().items()}


def write_manifest(path: str | os.PathLike[str], **facts: Any) -> Path | None:
    """Leave beside a file where it came from: `orders.parquet.trace.json`.

    Args:
        path: The file.
        **facts: What else the next one wants to know, in words that JSON has.

    Returns:
        The manifest; None when it could not be written. Never raises.
    """
    try:
        manifest = Path(os.fspath(path) + SIDECAR)
        unfinished = manifest.with_name(f"{manifest.name}.{os.getpid()}")
        unfinished.write_text(json.dumps({**facts, **carrier()}, default=str))
        unfinished.replace(manifest)
    except Exception as error:
        failed("a manifest", error)
        return None
    return manifest


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `write_manifest` left beside a file, to be given to `etl.run(links=…)`; empty when there is nothing.

    Never raises.
    """
    try:
        with Path(os.fspath(path) + SIDECAR).open() as file:
            found = json.loads(file.read(_LONGEST))
    except (OSError, ValueError):
        return {}
    except Exception as error:
        failed("a manifest", error)
        return {}
    return found if isinstance(found, dict) else {}


def context_of(source: Any) -> SpanContext | None:
    """The span context in a carrier or in the text of a `traceparent`; None when there is none. Never raises."""
    try:
        if isinstance(source, bytes):
            source = source.decode("ascii")
        if isinstance(source, str):
            source = {"traceparent": source}
        elif not hasattr(source, "items"):
            source = dict(source)  # pairs, as Kafka's headers are
        fields = {
            name.lower(): value.decode("ascii") if isinstance(value, bytes) else value
            for name, value in source.items()
            if isinstance(name, str) and isinstance(value, str | bytes)
        }
        if "_traceparent" in fields:
            fields.setdefault("traceparent", fields["_traceparent"])
        found = trace.get_current_span(_w3c.extract(fields, Context())).get_span_context()
    except Exception:
        return None
    return found if found.is_valid else None
