"""Where to send telemetry and where to look at it."""

from __future__ import annotations

from dataclasses import dataclass

from otel_kpi.stack import ports
from otel_kpi.stack.directories import Home
from otel_kpi.stack.settings import StackSettings


@dataclass(frozen=True, slots=True)
class Urls:
    """Addresses of one stack, each without a slash at the end.

    Attributes:
        otlp_http: OTLP over HTTP, as in ``OTEL_EXPORTER_OTLP_ENDPOINT``.
        otlp_grpc: OTLP over gRPC.
        collector_health: Answers 200 when the Collector is ready.
        jaeger: Jaeger's API (and UI, where the binary has one).
        prometheus: Prometheus' API.
        bugsink: Bugsink's pages.
        sentry_dsn: As in ``SENTRY_DSN``; None before the first ``up`` or without Bugsink.
        bugsink_api: Bugsink's API; ``/issues/?project=1`` tells how often each issue occurred.
        bugsink_token_file: Its bearer token, one line.
        logs_file: Log records at the Collector: an OTLP request in JSON on each line.
    """

    otlp_http: str
    otlp_grpc: str
    collector_health: str
    jaeger: str
    prometheus: str
    bugsink: str
    sentry_dsn: str | None
    bugsink_api: str
    bugsink_token_file: str
    logs_file: str


def load(home: Home | None = None) -> Urls:
    """The addresses of the stack of this home (default: of ``OTEL_KPI_STACK_HOME``), whether it runs or not."""
    home = home or Home.from_environment()
    settings = StackSettings.load(home) or StackSettings()
    number = ports.numbers(settings.port_offset)

    def url(name: str) -> str:
        return f"http://{ports.HOST}:{number[name]}"

    return Urls(
        otlp_http=url("otlp_http"),
        otlp_grpc=url("otlp_grpc"),
        collector_health=url("collector_health"),
        jaeger=url("jaeger_query"),
        prometheus=url("prometheus"),
        bugsink=url("bugsink"),
        sentry_dsn=settings.sentry_dsn,
        bugsink_api=f"{url('bugsink')}/api/canonical/0",
        bugsink_token_file=str(home.secrets / "bugsink_token"),
        logs_file=str(home.data / "collector" / "logs.jsonl"),
    )
