"""Pages of a store, asked without a browser."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from starlette.testclient import TestClient

from otel_kpi.dev.app import make_app
from otel_kpi.dev.state import Dev
from otel_kpi.dev.store import Store
from otel_kpi.dev.telemetry import LogRecord, Span
from support.dev.made import START_NS, attributes, resource, together

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from pathlib import Path

    from otel_kpi.dev.telemetry import Request, Value
    from otel_kpi.dev.views import Traces

ADDRESS = "http://127.0.0.1:4318"


@contextmanager
def filled(path: Path, requests: Iterable[Request[Any]] = ()) -> Generator[Store]:
    """A store with what was sent."""
    store = Store(path)
    try:
        if sent := list(requests):
            store.write(sent)
        yield store
    finally:
        store.close()


@contextmanager
def asking(store: Store | None) -> Generator[TestClient]:
    """Whoever asks for its pages."""
    # The pages under test do not ask for traces.
    dev = Dev(traces=cast("Traces", None), store=store, address=ADDRESS)
    with TestClient(make_app(dev), base_url=ADDRESS, follow_redirects=False) as client:
        yield client


_number = iter(range(1, 10**9))


def span(  # noqa: PLR0913 - what a span is
    values: Mapping[str, Value],
    *,
    name: str = "a span",
    start_ns: int = START_NS,
    duration_ns: int = 1_000_000_000,
    trace_id: bytes = b"",
    parent: Span | None = None,
    status: int = 0,
) -> Span:
    """A span of a trace of its own, unless it is told which."""
    number = next(_number)
    return Span(
        trace_id or (parent.trace_id if parent else number.to_bytes(16, "big")),
        number.to_bytes(8, "big"),
        parent.span_id if parent else b"",
        name,
        3,
        start_ns,
        start_ns + duration_ns,
        attributes(values),
        status=status,
    )


def call(
    model: str | None = "gpt-4o",
    cost: float | None = 0.5,
    currency: str | None = "USD",
    **more: Any,
) -> Span:
    """A call of a language model; keywords are `start_ns`, `duration_ns`, `status` and, as attributes, the others."""
    known = {key: more.pop(key) for key in ("start_ns", "duration_ns", "status") if key in more}
    return span(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": model,
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 10,
            "gen_ai.usage.cost.amount": cost,
            "gen_ai.usage.cost.currency": currency if cost is not None else None,
            **{key.replace("__", "."): value for key, value in more.items()},
        },
        name=f"chat {model}",
        **known,
    )


def spans(*sent: Span, service: str = "shop", **more: Value) -> Request[Any]:
    """A request of spans of one service."""
    sender = resource(service, **more)
    return together("traces", [(sender, "tests", each) for each in sent])


def logs(*sent: LogRecord, service: str = "shop") -> Request[Any]:
    """A request of log records of one service."""
    sender = resource(service)
    return together("logs", [(sender, "tests", each) for each in sent])
