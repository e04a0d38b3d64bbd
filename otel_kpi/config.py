"""Every setting, declared once.

`Settings` is the declaration: a field's `setting(...)` names the environment variable, how its value is
read, the default and what it is for. The environment, `otel_kpi.configure()` and `docs/settings.md` all
come from it; `resolution.py` reads the values. Names that start with `OTEL_` and not with `OTEL_KPI_` are
OpenTelemetry's own and mean what its specification says.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from otel_kpi._parsing import (
    BOOLEAN,
    COUNTS,
    CURRENCY,
    EXCHANGES,
    FRACTION,
    HEADERS,
    LEVEL,
    NAMES,
    PAIRS,
    PATTERNS,
    PREFIX,
    TEXT,
    TRACE_URL,
    URL,
    Parser,
    one_of,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

SIGNALS = ("traces", "metrics", "logs")

# OpenTelemetry names an exporter for each signal and none for all three.
_WITHOUT_GENERAL = frozenset({"OTEL_{}EXPORTER"})


@dataclass(frozen=True, slots=True)
class PerSignal(Generic[T]):
    """A value for each signal; the general variable serves those that have none of their own."""

    traces: T
    metrics: T
    logs: T

    def of(self, signal: str) -> T:
        """The value of `"traces"`, `"metrics"` or `"logs"`."""
        return cast("T", getattr(self, signal))


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known of one setting beside its type.

    Attributes:
        variable: Name of the environment variable; `{}` stands for `TRACES_`, `METRICS_`, `LOGS_` or nothing
            where a setting exists for each signal.
        parser: How its value is read.
        default: The value when nothing is set.
        summary: One sentence for a person.
        secret: Its value is never printed.
    """

    variable: str
    parser: Parser[Any]
    default: Any
    summary: str
    secret: bool = False

    @property
    def per_signal(self) -> bool:
        """Whether the setting exists in general and for each signal."""
        return "{}" in self.variable

    def variables(self) -> tuple[str, ...]:
        """The environment variables of this setting, the general one first."""
        if not self.per_signal:
            return (self.variable,)
        own = tuple(self.variable.format(f"{signal.upper()}_") for signal in SIGNALS)
        return own if self.variable in _WITHOUT_GENERAL else (self.variable.format(""), *own)


def setting(variable: str, parser: Parser[T], default: Any, summary: str, *, secret: bool = False) -> Any:
    """Declare one setting as a field of `Settings`."""
    value = PerSignal(default, default, default) if "{}" in variable else default
    declaration = Declaration(variable, parser, default, summary, secret)
    return dataclasses.field(default=value, metadata={"setting": declaration})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The resolved settings of a process: code first, then the file, the environment, the default."""

    # --- on and off
    sdk_disabled: bool = setting(
        "OTEL_SDK_DISABLED", BOOLEAN, False, "Switches everything off: nothing is patched, nothing leaves."
    )
    config_file: str | None = setting(
        "OTEL_CONFIG_FILE",
        TEXT,
        None,
        "OpenTelemetry's declarative configuration file; all settings can stand in it, see "
        "[declarative.md](declarative.md). Needs `otel-kpi[config]`.",
    )
    disabled_instrumentations: tuple[str, ...] = setting(
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", NAMES, (), "Instrumentors that stay off; `*` is all of them."
    )
    driver_spans: bool = setting(
        "OTEL_KPI_DRIVER_SPANS",
        BOOLEAN,
        False,
        "Records a driver's spans under SQLAlchemy too, each below that of its statement. Without it a statement is "
        "one span.",
    )

    log_level: str | None = setting(
        "OTEL_LOG_LEVEL",
        one_of("debug", "info", "warn", "warning", "error", "fatal", "critical"),
        None,
        "Level of the loggers `opentelemetry` and `otel_kpi`: what telemetry says of itself.",
    )

    # --- who is speaking
    app_name: str | None = setting(
        "OTEL_SERVICE_NAME", TEXT, None, "`service.name`; in Prometheus the label `app`."
    )
    version: str | None = setting(
        "OTEL_KPI_VERSION", TEXT, None, "`service.version`; in Prometheus the label `version`."
    )
    environment: str | None = setting(
        "OTEL_KPI_ENVIRONMENT",
        TEXT,
        None,
        "`deployment.environment.name`; in Prometheus the label `environment`.",
    )
    resource_attributes: tuple[tuple[str, Any], ...] = setting(
        "OTEL_RESOURCE_ATTRIBUTES",
        PAIRS,
        (),
        "Further resource attributes. A `service.instance.id` given here is the base to which forked and "
        "spawned processes add their slot.",
    )

    # --- where it goes
    exporters: PerSignal[tuple[str, ...]] = setting(
        "OTEL_{}EXPORTER",
        NAMES,
        ("otlp",),
        "Exporters of a signal: `otlp`, `console`, `none`, or any other that is installed.",
    )
    endpoint: PerSignal[str] = setting(
        "OTEL_EXPORTER_OTLP_{}ENDPOINT",
        URL,
        "http://localhost:4318",
        "Where OTLP goes. The general address is a base to which `/v1/traces`, `/v1/metrics` and `/v1/logs` "
        "are added; an address for one signal is used as it is.",
    )
    protocol: PerSignal[str] = setting(
        "OTEL_EXPORTER_OTLP_{}PROTOCOL",
        one_of("http/protobuf", "http/json", "grpc"),
        "http/protobuf",
        "How OTLP is written. `grpc` needs `otel-kpi[otlp]`.",
    )
    headers: PerSignal[tuple[tuple[str, str], ...]] = setting(
        "OTEL_EXPORTER_OTLP_{}HEADERS", HEADERS, (), "Headers of every OTLP request.", secret=True
    )
    timeout: PerSignal[int] = setting(
        "OTEL_EXPORTER_OTLP_{}TIMEOUT", whole("milliseconds", 1), 10_000, "Time for one OTLP request."
    )
    compression: PerSignal[str] = setting(
        "OTEL_EXPORTER_OTLP_{}COMPRESSION",
        one_of("auto", "gzip", "none"),
        "auto",
        "`auto` packs what has 1 kB or more and leaves the machine.",
    )
    certificate: PerSignal[str | None] = setting(
        "OTEL_EXPORTER_OTLP_{}CERTIFICATE", TEXT, None, "File with the certificates that are trusted (PEM)."
    )
    client_key: PerSignal[str | None] = setting(
        "OTEL_EXPORTER_OTLP_{}CLIENT_KEY", TEXT, None, "File with the client's private key (PEM)."
    )
    client_certificate: PerSignal[str | None] = setting(
        "OTEL_EXPORTER_OTLP_{}CLIENT_CERTIFICATE", TEXT, None, "File with the client's certificate (PEM)."
    )

    # --- how much and how often
    span_delay: int = setting(
        "OTEL_BSP_SCHEDULE_DELAY", whole("milliseconds", 1), 1_000, "Longest wait of a finished span."
    )
    span_queue: int = setting(
        "OTEL_BSP_MAX_QUEUE_SIZE", whole("spans", 1), 8_192, "Spans kept; more are dropped and counted."
    )
    span_batch: int = setting(
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", whole("spans", 1), 512, "Spans in one request."
    )
    log_delay: int = setting(
        "OTEL_BLRP_SCHEDULE_DELAY", whole("milliseconds", 1), 1_000, "Longest wait of a log record."
    )
    log_queue: int = setting(
        "OTEL_BLRP_MAX_QUEUE_SIZE",
        whole("records", 1),
        8_192,
        "Log records kept; more are dropped and counted.",
    )
    log_batch: int = setting(
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", whole("records", 1), 512, "Log records in one request."
    )
    span_timeout: int = setting(
        "OTEL_BSP_EXPORT_TIMEOUT", whole("milliseconds", 1), 30_000, "Longest time of one export of spans."
    )
    log_timeout: int = setting(
        "OTEL_BLRP_EXPORT_TIMEOUT",
        whole("milliseconds", 1),
        30_000,
        "Longest time of one export of log records.",
    )
    metric_timeout: int = setting(
        "OTEL_METRIC_EXPORT_TIMEOUT",
        whole("milliseconds", 1),
        30_000,
        "Longest time of one export of metrics.",
    )
    metric_interval: int = setting(
        "OTEL_METRIC_EXPORT_INTERVAL", whole("milliseconds", 1), 10_000, "Time between two metric exports."
    )
    exit_budget: int = setting(
        "OTEL_KPI_EXIT_BUDGET",
        whole("milliseconds"),
        2_000,
        "The one budget in which everything is sent when the process ends.",
    )

    # --- what is recorded
    script_span: bool = setting(
        "OTEL_KPI_SCRIPT_SPAN",
        BOOLEAN,
        True,
        "A script's client calls and statements stand under one span, from its start to its exit.",
    )
    sampler: str = setting(
        "OTEL_TRACES_SAMPLER",
        TEXT,
        "parentbased_always_on",
        "Sampler, by OpenTelemetry's name or a plug-in's.",
    )
    sampler_arg: str | None = setting("OTEL_TRACES_SAMPLER_ARG", TEXT, None, "Argument of the sampler.")
    propagators: tuple[str, ...] = setting(
        "OTEL_PROPAGATORS", NAMES, ("tracecontext", "baggage"), "How context travels between services."
    )
    id_generator: str = setting("OTEL_PYTHON_ID_GENERATOR", TEXT, "random", "Who makes trace and span ids.")
    resource_detectors: tuple[str, ...] = setting(
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
        NAMES,
        (),
        "Resource detectors beside those for the process and the host, which always run.",
    )
    exemplar_filter: str = setting(
        "OTEL_METRICS_EXEMPLAR_FILTER",
        one_of("trace_based", "always_on", "always_off"),
        "trace_based",
        "Which measurements become exemplars, the bridge from a metric to a trace.",
    )
    temporality: str = setting(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        one_of("cumulative", "delta", "lowmemory"),
        "cumulative",
        "Temporality of counters and histograms; Prometheus needs `cumulative`.",
    )
    histogram_aggregation: str = setting(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        "explicit_bucket_histogram",
        "Histograms with fixed or with exponential buckets.",
    )
    metric_attribute_values: int = setting(
        "OTEL_KPI_METRIC_ATTRIBUTE_VALUES",
        whole("values", 1),
        200,
        "Distinct values of one attribute of one metric; further ones are counted as `other`. Five times as many "
        "where a program has many by nature (`http.route`, `db.collection.name`, …).",
    )
    metric_identifiers: int = setting(
        "OTEL_KPI_METRIC_IDENTIFIERS",
        whole("values"),
        10,
        "Those of them that look like an identifier: UUIDs, long numbers, long texts. Mail addresses have none.",
    )
    metric_series: int = setting(
        "OTEL_KPI_METRIC_SERIES",
        whole("series", 1),
        2_000,
        "Attribute sets of one metric; further ones are counted under `otel.metric.overflow`.",
    )
    metric_attribute_budgets: tuple[tuple[str, int], ...] = setting(
        "OTEL_KPI_METRIC_ATTRIBUTE_BUDGETS",
        COUNTS,
        (),
        "Distinct values by attribute, or by `metric:attribute`, whatever they look like: `customer.tier=50`.",
    )
    compatibility_series: bool = setting(
        "OTEL_KPI_COMPATIBILITY_SERIES",
        BOOLEAN,
        True,
        "Records what a second name of an older system stands for (`django_auth_failures_total`, the series of "
        "`OTEL_KPI_CHAT_PREFIX`) beside the stable one.",
    )
    chat_prefix: str | None = setting(
        "OTEL_KPI_CHAT_PREFIX",
        PREFIX,
        None,
        "Prefix of the fourteen series of a chat service: with `innatural_chatbot` there is "
        "`innatural_chatbot_messages_total`. Without it they are not recorded.",
    )
    etl_heartbeat_interval: int = setting(
        "OTEL_KPI_ETL_HEARTBEAT_INTERVAL",
        whole("milliseconds"),
        60_000,
        "Time between two signs of life of an ETL run that takes longer than that; 0 is none.",
    )
    prometheus_client: bool = setting(
        "OTEL_KPI_PROMETHEUS_CLIENT",
        BOOLEAN,
        False,
        "Sends the metrics that the application keeps in prometheus_client, too, under the names that they have there.",
    )
    host_metrics: bool = setting(
        "OTEL_KPI_HOST_METRICS",
        BOOLEAN,
        False,
        "Have each process say `system.*`, the figures of its host; what it says of itself needs no setting.",
    )
    attribute_count: int | None = setting(
        "OTEL_ATTRIBUTE_COUNT_LIMIT", whole("attributes"), 128, "Attributes of a span or log record."
    )
    attribute_length: int | None = setting(
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        whole("characters"),
        32_768,
        "Length at which text in an attribute is cut.",
    )
    span_attribute_count: int | None = setting(
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", whole("attributes"), None, "The same, for spans alone."
    )
    span_attribute_length: int | None = setting(
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", whole("characters"), None, "The same, for spans alone."
    )
    span_event_count: int = setting(
        "OTEL_SPAN_EVENT_COUNT_LIMIT", whole("events"), 128, "Events of a span; more are dropped and counted."
    )
    span_link_count: int = setting(
        "OTEL_SPAN_LINK_COUNT_LIMIT", whole("links"), 128, "Links of a span; more are dropped and counted."
    )
    event_attribute_count: int | None = setting(
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", whole("attributes"), None, "Attributes of an event of a span."
    )
    link_attribute_count: int | None = setting(
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", whole("attributes"), None, "Attributes of a link of a span."
    )
    log_attribute_count: int | None = setting(
        "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", whole("attributes"), None, "The same, for log records alone."
    )
    log_attribute_length: int | None = setting(
        "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        whole("characters"),
        None,
        "The same, for log records alone.",
    )
    semconv: tuple[str, ...] = setting(
        "OTEL_SEMCONV_STABILITY_OPT_IN",
        NAMES,
        ("http", "database"),
        "Generation of the convention names; the stable ones by default, because every rule hangs on them.",
    )

    websocket_spans: str = setting(
        "OTEL_KPI_WEBSOCKET_SPANS",
        one_of("linked", "connection", "off"),
        "linked",
        "A WebSocket is one trace for its handshake and its end, and one for each message that does something "
        "(`linked`), one span with all that happens below it (`connection`), or its handshake and its end alone "
        "(`off`).",
    )
    websocket_spans_first: int = setting(
        "OTEL_KPI_WEBSOCKET_SPANS_PER_CONNECTION",
        whole("spans"),
        100,
        "So many messages of a WebSocket have a trace; after them one in ten seconds. The others are counted.",
    )
    slow_request: int = setting(
        "OTEL_KPI_SLOW_REQUEST",
        whole("milliseconds"),
        5_000,
        "Requests that take longer are one line in the log, where `otel_kpi.endpoints` measures response times; "
        "0 logs none.",
    )

    # --- log records
    log_records: bool = setting(
        "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION",
        BOOLEAN,
        True,
        "Sends the records of `logging`, structlog and loguru; else they only carry their trace.",
    )
    log_correlation: bool = setting(
        "OTEL_PYTHON_LOG_CORRELATION",
        BOOLEAN,
        False,
        "Writes the trace into the application's own output: handlers of `logging` without a format of their own "
        "get `OTEL_PYTHON_LOG_FORMAT`, events of structlog `trace_id` and `span_id`, records of loguru the same in "
        "`extra`.",
    )
    log_format: str = setting(
        "OTEL_PYTHON_LOG_FORMAT",
        TEXT,
        "%(asctime)s %(levelname)s [%(name)s] [%(filename)s:%(lineno)d] [trace_id=%(otelTraceID)s "
        "span_id=%(otelSpanID)s resource.service.name=%(otelServiceName)s "
        "trace_sampled=%(otelTraceSampled)s] - %(message)s",
        "The format of `OTEL_PYTHON_LOG_CORRELATION`.",
    )
    log_root_level: str | None = setting(
        "OTEL_PYTHON_LOG_LEVEL", LEVEL, None, "Level of the root logger, until the application sets its own."
    )
    log_lowest_level: str = setting(
        "OTEL_PYTHON_LOG_HANDLER_LEVEL",
        LEVEL,
        "notset",
        "Lowest level of log records that leave by OTLP; what loggers let through below it is only printed.",
    )

    # --- what does not leave
    redact_keys: tuple[str, ...] = setting(
        "OTEL_KPI_REDACT_KEYS",
        NAMES,
        (),
        "Names whose values never leave, beside those that are known (docs/privacy.md). Compared by words, whatever "
        "their spelling; with `*` or `?` as a whole.",
    )
    redact_patterns: tuple[str, ...] = setting(
        "OTEL_KPI_REDACT_PATTERNS",
        PATTERNS,
        (),
        "What these match, or their group `secret`, is replaced in every text. One that may take forever is refused.",
    )
    redact_allow: tuple[str, ...] = setting(
        "OTEL_KPI_REDACT_ALLOW",
        NAMES,
        (),
        "Names whose values leave as they are, written as in `OTEL_KPI_REDACT_KEYS`; `*` alone switches redaction off.",
    )
    redact_hash_key: str | None = setting(
        "OTEL_KPI_REDACT_HASH_KEY",
        TEXT,
        None,
        "Key of the hash that stands for an e-mail address, the same for all services that shall be seen together. "
        "Without it, who has a list of addresses can find out which of them are meant.",
        secret=True,
    )
    genai_content: str = setting(
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        one_of("false", "true", "no_content", "span_only", "event_only", "span_and_event"),
        "false",
        "Whether prompts, completions and the arguments of tools may leave, and where: on spans, in events (log records "
        "and Sentry's), or in both, which `true` means, too. Whoever recorded it, elsewhere it is dropped.",
    )
    genai_content_length: int = setting(
        "OTEL_KPI_GENAI_CONTENT_LENGTH",
        whole("characters"),
        16_384,
        "Length at which content that may leave is cut: of each attribute, the newest messages last. 0 is no limit.",
    )
    genai_content_store: str | None = setting(
        "OTEL_KPI_GENAI_CONTENT_STORE",
        TEXT,
        None,
        "Folder, or address for `fsspec`, in which content that may leave is kept, without secrets and uncut; on spans "
        "and in events its address stands in its place (`gen_ai.input.messages_ref`).",
    )

    # --- calls of language models
    genai_names: str = setting(
        "OTEL_KPI_GENAI_NAMES",
        one_of("installed", "latest", "both"),
        "installed",
        "Generation of the names of GenAI metrics: that of the installed packages, that of the latest conventions, or "
        "both.",
    )
    genai_providers: tuple[tuple[str, Any], ...] = setting(
        "OTEL_KPI_GENAI_PROVIDERS",
        PAIRS,
        (),
        "Who serves models at an address that is not known: `llm.corp:8080=vllm,proxy.corp=openai`. The provider's "
        "prices are used there.",
    )
    genai_nested: str = setting(
        "OTEL_KPI_GENAI_NESTED",
        one_of("provider", "upstream"),
        "provider",
        "What a framework's call says that contains a call of the provider's package: what the latter read, each request "
        "counted once; or what upstream makes of the two.",
    )
    genai_stream_usage: tuple[str, ...] = setting(
        "OTEL_KPI_GENAI_STREAM_USAGE",
        NAMES,
        (),
        "Whose streams are asked for their usage where the application does not ask: `on` for OpenAI and Azure, and "
        "hosts, `llm.corp:8080`. The request then has `stream_options.include_usage`, and the application sees nothing "
        "of it. Without it such a stream has neither tokens nor a price.",
    )
    genai_abandoned_as_errors: bool = setting(
        "OTEL_KPI_GENAI_ABANDONED_AS_ERRORS",
        BOOLEAN,
        False,
        "Whether a call that the application cancels, or a stream that it leaves, is an error of the provider's, as "
        "upstream has it.",
    )
    cost_aliases: tuple[str, ...] = setting(
        "OTEL_KPI_COST_ALIASES",
        NAMES,
        (),
        "Further names of an amount in US dollars on spans: `operation.cost` (Logfire), `gen_ai.usage.cost` (OpenLIT, "
        "Langfuse; instead of `gen_ai.usage.cost.amount`), `llm.cost.total` (Phoenix), `gen_ai.cost.total_tokens` "
        "(Sentry).",
    )
    llm_budgets: str | None = setting(
        "OTEL_KPI_LLM_BUDGETS",
        TEXT,
        None,
        "What language models may cost before somebody is told: `day=50 EUR; month=1000 EUR; tenant acme day=10 EUR; "
        "tenant * day=5 EUR`. An entry that cannot be used is one line in the log; see [budgets.md](budgets.md).",
    )
    llm_user: str = setting(
        "OTEL_KPI_LLM_USER",
        one_of("hash", "id"),
        "hash",
        "What spans say of the user of `llm.context(user=…)`: a hash keyed by `OTEL_KPI_REDACT_HASH_KEY`, or the id as "
        "it is.",
    )
    prices_file: str | None = setting(
        "OTEL_KPI_PRICES_FILE",
        TEXT,
        None,
        "Prices of your own: self-hosted and fine-tuned models, gateways, what you negotiated. YAML or JSON, see "
        "[prices.md](prices.md).",
    )
    currency: str | None = setting(
        "OTEL_KPI_CURRENCY",
        CURRENCY,
        None,
        "The currency of costs, where `OTEL_KPI_CURRENCY_RATES` has a rate to it; without one they stay in their own.",
    )
    currency_rates: tuple[str, ...] = setting(
        "OTEL_KPI_CURRENCY_RATES",
        EXCHANGES,
        (),
        "What one unit of a currency is in another, from a day on: `USD:EUR=0.92@2026-11-01`. Nothing is converted "
        "without.",
    )

    # --- errors to Sentry
    sentry_dsn: str | None = setting(
        "SENTRY_DSN",
        TEXT,
        None,
        "Where errors go. Without it nothing of sentry-sdk is imported.",
        secret=True,
    )
    sentry_sample_rate: float = setting(
        "SENTRY_SAMPLE_RATE", FRACTION, 1.0, "Share of errors that is sent to Sentry."
    )
    sentry_user: str = setting(
        "OTEL_KPI_SENTRY_USER",
        one_of("hash", "id", "none"),
        "hash",
        "What Sentry gets of the user: a hash of the id, the id as it is, nothing. Never a name or an e-mail address.",
    )
    sentry_log_level: str = setting(
        "OTEL_KPI_SENTRY_LOG_LEVEL",
        one_of("warning", "error", "critical", "none"),
        "error",
        "Least level of a log record that is an event in Sentry.",
    )
    sentry_fingerprints: bool = setting(
        "OTEL_KPI_SENTRY_FINGERPRINTS",
        BOOLEAN,
        True,
        "Errors that differ in ids, numbers and addresses only are one issue; `false` leaves it to the server.",
    )
    sentry_profiling: str = setting(
        "OTEL_KPI_SENTRY_PROFILING",
        one_of("off", "manual", "continuous"),
        "off",
        "Sentry's profiler: off, between `sentry.start_profiler()` and `stop_profiler()`, or always.",
    )
    sentry_tunnel: str | None = setting(
        "OTEL_KPI_SENTRY_TUNNEL",
        URL,
        None,
        "Where errors are sent instead of the host of the DSN, for example `otel-kpi sentry-tunnel`.",
    )
    sentry_scrub_application: bool = setting(
        "OTEL_KPI_SENTRY_SCRUB_APPLICATION",
        BOOLEAN,
        True,
        "Take secrets out of what a client sends that the application made by `sentry_sdk.init`.",
    )
    trace_url: str | None = setting(
        "OTEL_KPI_TRACE_URL",
        TRACE_URL,
        None,
        "Page of a trace, which events in Sentry then link to: `http://localhost:16686/trace/{trace_id}`.",
    )


def declarations() -> Iterator[tuple[str, Declaration]]:
    """Each setting as (keyword of `configure()`, declaration), in the order of the documentation."""
    for field in dataclasses.fields(Settings):
        yield field.name, cast("Declaration", field.metadata["setting"])
