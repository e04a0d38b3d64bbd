"""How each service is started: command, environment, and the address that says it is ready."""

from __future__ import annotations

import json
import os
import shutil
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from otel_kpi.stack import bugsink, ports
from otel_kpi.stack.errors import StackError
from otel_kpi.stack.files import shipped
from otel_kpi.stack.modules import MODULES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otel_kpi.stack.directories import Home
    from otel_kpi.stack.settings import StackSettings

_SENTRY_DSN = "OTEL_KPI_STACK_SENTRY_DSN"


@dataclass(frozen=True, slots=True)
class Service:
    """A process that the supervisor keeps running.

    Attributes:
        name: As in ``otel-kpi stack status``.
        command: Its argument vector; never contains a secret.
        environment: Beside what every service gets.
        ready_url: Answers 200 once it serves.
        stop_seconds: How long it may take to end before it is killed.
        priority: Lower ones start first and stop last: the Collector empties its queues into stores that live.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready_url: str
    stop_seconds: int = 10
    priority: int = 100


def define(settings: StackSettings, home: Home, servers: Mapping[str, Path]) -> list[Service]:
    """Write the services' configuration below the home and say how to start them.

    Args:
        settings: Which services, on which ports.
        home: Where their configuration and data go.
        servers: Executable of each Go service, and Bugsink's interpreter.
    """
    number = ports.numbers(settings.port_offset)
    makers = {"collector": _collector, "jaeger": _jaeger, "prometheus": _prometheus}
    services: list[Service] = []
    for name in settings.services:
        data = home.data / name
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if name == "bugsink":
            services.append(_bugsink(home, number, servers[name]))
        else:
            services.append(makers[name](data, number, servers[name]))
    if "prometheus" in settings.services:
        _write_targets(home.data / "prometheus" / "targets", settings, number)
    return services


def _address(number: int) -> str:
    return f"{ports.HOST}:{number}"


def _url(number: int) -> str:
    return f"http://{_address(number)}"


def _copy(target: Path, *source: str) -> str:
    """Put a shipped file where the service reads it, so that an upgrade of the package does not change it under way."""
    target.write_bytes(shipped(*source).read_bytes())
    return str(target)


def _collector(data: Path, number: Mapping[str, int], executable: Path) -> Service:
    command = [str(executable), "--config", _copy(data / "collector.yaml", "collector", "collector.yaml")]
    environment = {
        "OTELCOL_STATE_DIR": str(data),
        "OTELCOL_LOGS_FILE": str(data / "logs.jsonl"),
        "OTELCOL_HTTP_ENDPOINT": _address(number["otlp_http"]),
        "OTELCOL_GRPC_ENDPOINT": _address(number["otlp_grpc"]),
        "OTELCOL_HEALTH_ENDPOINT": _address(number["collector_health"]),
        "OTELCOL_HOST_NAME": socket.gethostname(),
        "OTELCOL_METRICS_HOST": ports.HOST,
        "OTELCOL_METRICS_PORT": str(number["collector_metrics"]),
        "JAEGER_OTLP_ENDPOINT": _address(number["jaeger_otlp"]),
        "PROMETHEUS_OTLP_ENDPOINT": f"{_url(number['prometheus'])}/api/v1/otlp",
    }
    if dsn := os.environ.get(_SENTRY_DSN):
        command += ["--config", _copy(data / "sentry.yaml", "collector", "sentry.yaml")]
        environment |= _sentry_destination(dsn)
    return Service("collector", tuple(command), environment, _url(number["collector_health"]), priority=200)


def _sentry_destination(dsn: str) -> dict[str, str]:
    """Sentry's OTLP address and key from a DSN ``https://KEY@HOST/PROJECT``."""
    parts = urlsplit(dsn)
    path, _, project = parts.path.rpartition("/")
    if not (parts.scheme in {"http", "https"} and parts.username and parts.hostname and project.isdigit()):
        raise StackError(f"{_SENTRY_DSN} is not a DSN: https://KEY@HOST/PROJECT is accepted")
    host = parts.netloc.rpartition("@")[2]
    return {
        "SENTRY_OTLP_ENDPOINT": f"{parts.scheme}://{host}{path}/api/{project}/integration/otlp",
        "SENTRY_OTLP_KEY": parts.username,
    }


def _jaeger(data: Path, number: Mapping[str, int], executable: Path) -> Service:
    return Service(
        name="jaeger",
        command=(str(executable), "--config", _copy(data / "jaeger.yaml", "jaeger", "jaeger.yaml")),
        environment={
            "JAEGER_STATE_DIR": str(data),
            "JAEGER_QUERY_ENDPOINT": _address(number["jaeger_query"]),
            "JAEGER_QUERY_GRPC_ENDPOINT": _address(number["jaeger_query_grpc"]),
            "JAEGER_OTLP_ENDPOINT": _address(number["jaeger_otlp"]),
            "JAEGER_HEALTH_ENDPOINT": _address(number["jaeger_health"]),
            "JAEGER_METRICS_HOST": ports.HOST,
            "JAEGER_METRICS_PORT": str(number["jaeger_metrics"]),
            "PROMETHEUS_ENDPOINT": _url(number["prometheus"]),
        },
        ready_url=f"{_url(number['jaeger_health'])}/status",
    )


def _prometheus(data: Path, number: Mapping[str, int], executable: Path) -> Service:
    rules = data / "rules"
    rules.mkdir(mode=0o700, exist_ok=True)
    for each in shipped("deploy", "prometheus", "rules").iterdir():
        _copy(rules / each.name, "deploy", "prometheus", "rules", each.name)
    return Service(
        name="prometheus",
        command=(
            str(executable),
            f"--config.file={_copy(data / 'prometheus.yml', 'deploy', 'prometheus', 'prometheus.yml')}",
            f"--storage.tsdb.path={data / 'tsdb'}",
            "--storage.tsdb.retention.time=7d",
            f"--web.listen-address={_address(number['prometheus'])}",
            "--web.enable-otlp-receiver",
            # A start time becomes a sample of zero: what a process counted before its first report, and what the
            # next process of the same slot counts, is in `increase()`.
            "--enable-feature=exemplar-storage,created-timestamp-zero-ingestion",
            "--log.level=warn",
        ),
        environment={},
        ready_url=f"{_url(number['prometheus'])}/-/ready",
    )


def _bugsink(home: Home, number: Mapping[str, int], interpreter: Path) -> Service:
    return Service(
        name="bugsink",
        command=(
            str(interpreter), "-m", "gunicorn",
            "--bind", _address(number["bugsink"]),
            "--workers", "1",
            "--threads", "8",
            "--no-control-socket",
            "--graceful-timeout", "2",
            "bugsink.wsgi",
        ),
        environment=bugsink.environment(home, number["bugsink"]),
        ready_url=f"{_url(number['bugsink'])}/health/ready",
    )  # fmt: skip


def _write_targets(directory: Path, settings: StackSettings, number: Mapping[str, int]) -> None:
    """Tell Prometheus which of the stack's servers to scrape, with the labels that every series has."""
    directory.mkdir(mode=0o700, exist_ok=True)
    scraped = {"collector": "collector_metrics", "jaeger": "jaeger_metrics", "prometheus": "prometheus"}
    targets = [
        {
            "targets": [_address(number[scraped[name]])],
            "labels": {"app": name, "version": MODULES[name].version, "environment": "local"},
        }
        for name in settings.services
        if name in scraped
    ]
    temporary = directory / "stack.json.new"
    temporary.write_text(json.dumps(targets, indent=2), encoding="utf-8")
    shutil.move(temporary, directory / "stack.json")
