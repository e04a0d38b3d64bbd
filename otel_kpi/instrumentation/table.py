"""Which library is instrumented by what, in which versions, and when: one frozen row each.

A row with a specifier passed our tests in that range: upstream's cap does not count there, and outside of it
the library is left alone with one line. A row without one is upstream's as it is, with upstream's own range;
our tests have not been over it yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_kpi.instrumentation.servers import server_address

if TYPE_CHECKING:
    from collections.abc import Mapping

When = Literal["import", "load_middleware", "now", "never"]
"""`import`: the target's import has ended. `load_middleware`: Django's first. `now`: when armed. `never`: not yet."""

State = Literal["armed", "loaded", "skipped", "failed", "foreign", "off"]
"""`armed` waits for the target; `foreign` was instrumented by the user, who is not disturbed; `off` after ten errors."""


@dataclass(frozen=True, slots=True)
class Row:
    """One instrumentor of the table.

    Attributes:
        name: Name of upstream's `opentelemetry_instrumentor` entry point, or of our own, for
            `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`.
        target: Module whose completed import sets the instrumentor off.
        instrumentor: `module:Class`.
        distribution: Distribution that carries the target; empty for the standard library.
        specifier: Versions that pass our tests; `None` leaves the decision to upstream's own range.
        when: See `When`.
        waits_for: Modules that the instrumentor imports. While one of them is half made, it waits.
        options: Keyword arguments of `instrument()`.
        prepare: `module:function`, called before `instrument()` where upstream's class leaves something out.
        asked_by: Environment variables; without one of them the row stays away, for `reason`.
        reason: Why a row that does not load is there.
        extra: Extra of otel-kpi that brings what the instrumentor stands on; without it the row is left alone.
        quiet: Whether that is worth no line: the library serves for more than the row is about.
    """

    name: str
    target: str
    instrumentor: str
    distribution: str = ""
    specifier: str | None = None
    when: When = "import"
    waits_for: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    prepare: str = ""
    asked_by: tuple[str, ...] = ()
    reason: str = ""
    extra: str = ""
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Instrumented:
    """What became of a row.

    Attributes:
        name: The row's name.
        state: See `State`.
        version: Version of the library; empty until it was looked up.
        reason: Why it is in this state, in one line; empty when it went as it should.
        tested: Whether our tests have been over it.
        errors: How many of its errors were kept from the application.
    """

    name: str
    state: State
    version: str
    reason: str
    tested: bool
    errors: int = 0


_UPSTREAM = "opentelemetry.instrumentation"
_FAILED_REQUESTS = "otel_kpi.instrumentation.clients.failed_requests"


def _upstream(name: str, target: str, cls: str, distribution: str, specifier: str | None = None) -> Row:
    package = "httpx" if name == "httpx2" else name.replace("-", "_")
    module = f"{_UPSTREAM}.{package}"
    return Row(name, target, f"{module}:{cls}", distribution, specifier, waits_for=(module,))


def _driver(name: str, specifier: str) -> Row:
    """A driver of a database, with an instrumentor of ours; `databases/database.py` says why."""
    return Row(name, name, f"otel_kpi.instrumentation.databases.{name}:Instrumentor", name, specifier)


def _server(name: str, target: str, distribution: str, specifier: str | None) -> Row:
    return Row(name, target, f"otel_kpi.instrumentation.servers.handover:{name}", distribution, specifier)


def _kafka(name: str, distribution: str, cls: str, specifier: str) -> Row:
    return Row(
        name,
        name,
        f"otel_kpi.instrumentation.messaging.kafka:{cls}",
        distribution,
        specifier,
        waits_for=(f"{_UPSTREAM}.{name}",),
    )


def _security(name: str, target: str, distribution: str, specifier: str, of: str = "") -> Row:
    """What tells the security pack who was refused, and why; `security/__init__.py` says how."""
    module = of or f"{name.removesuffix('_security')}:Instrumentor"
    return Row(name, target, f"otel_kpi.instrumentation.security.{module}", distribution, specifier)


def _genai(name: str, target: str, instrumentor: str, distribution: str, specifier: str) -> Row:
    """A library for language models with an official instrumentor; `llm/<name>.py` has what that leaves out."""
    module = f"{_UPSTREAM}.genai.{name}"
    return Row(
        name,
        target,
        f"{module}:{instrumentor}",
        distribution,
        specifier,
        waits_for=(module,),
        prepare=f"otel_kpi.instrumentation.llm.{name}:prepare",
        extra="llm",
    )


def _model_library(name: str, target: str, distribution: str, specifier: str) -> Row:
    """A library for language models that has no official instrumentor; ours stands on what the official ones do."""
    instrumentor = f"otel_kpi.instrumentation.llm.{name}:Instrumentor"
    return Row(name, target, instrumentor, distribution, specifier, extra="llm")


_LANGCHAIN: Final = (
    f"{_UPSTREAM}.genai.langchain",
    "langgraph.pregel",
    *(
        f"langchain_core.{module}"
        for module in (
            "callbacks.manager",
            "language_models.base",
            "language_models.chat_models",
            "language_models.llms",
            "output_parsers.base",
            "output_parsers.openai_tools",
            "output_parsers.transform",
            "prompts.base",
            "prompts.chat",
            "prompts.string",
            "retrievers",
            "runnables.branch",
            "runnables.config",
            "runnables.configurable",
            "runnables.fallbacks",
            "runnables.passthrough",
            "tools.base",
            "tools.convert",
            "tools.structured",
        )
    ),
)
"""What upstream patches or imports; `from langchain_openai import ChatOpenAI` has all of these half made for a while."""


TABLE: Final = (
    Row(
        "fastapi",
        "fastapi",
        "otel_kpi.instrumentation.servers.fastapi:Instrumentor",
        "fastapi",
        ">=0.115,<1",
        waits_for=(f"{_UPSTREAM}.fastapi", f"{_UPSTREAM}.asgi"),
    ),
    Row(
        "click",
        "click",
        f"{_UPSTREAM}.click:ClickInstrumentor",
        when="never",
        # open-telemetry/opentelemetry-python-contrib#3846
        reason="a command that serves would be one span for the life of the process; the root of a script has its name",
    ),
    Row(
        "starlette",
        "starlette.applications",
        "otel_kpi.instrumentation.servers.starlette:Instrumentor",
        "starlette",
        ">=0.37,<2",
        waits_for=(f"{_UPSTREAM}.asgi",),
    ),
    Row("flask", "flask", "otel_kpi.instrumentation.servers.flask:Instrumentor", "flask", ">=2.3,<4"),
    Row("quart", "quart", "otel_kpi.instrumentation.servers.quart:Instrumentor", "quart", ">=0.19,<1"),
    _server("uvicorn", "uvicorn.config", "uvicorn", ">=0.20,<1"),
    _server("hypercorn", "hypercorn.app_wrappers", "hypercorn", ">=0.14,<1"),
    _server("daphne", "daphne.server", "daphne", ">=4,<5"),
    _server("gunicorn", "gunicorn.workers.base", "gunicorn", ">=20.1,<28"),
    _server("gunicorn_asgi", "gunicorn.workers.gasgi", "gunicorn", ">=25,<28"),
    _server("granian_asgi", "granian.asgi", "granian", ">=2.8,<3"),
    _server("granian_wsgi", "granian.wsgi", "granian", ">=2.8,<3"),
    _server("waitress", "waitress.server", "waitress", ">=2.1,<4"),
    _server("werkzeug", "werkzeug.serving", "werkzeug", ">=2.2,<4"),
    _server("wsgiref", "wsgiref.simple_server", "", None),
    Row(
        "django",
        "django.core.handlers.base",
        "otel_kpi.instrumentation.servers.django:Instrumentor",
        "django",
        ">=4.2,<7",  # 6 needs Python 3.12; its own proof runs there
        when="load_middleware",
        waits_for=(f"{_UPSTREAM}.django",),
    ),
    Row(
        "django_database",
        "django.db.backends.base.base",
        "otel_kpi.instrumentation.databases.django_database:Instrumentor",
        "django",
        ">=4.2,<7",
    ),
    Row(
        "django_sqlite",
        "django.db.backends.sqlite3.base",
        "otel_kpi.instrumentation.databases.django_sqlite:Instrumentor",
        "django",
        ">=4.2,<7",
    ),
    Row(
        "sqlalchemy",
        "sqlalchemy",
        "otel_kpi.instrumentation.databases.sqlalchemy:Instrumentor",
        "sqlalchemy",
        ">=1.4.41,<2.2",
        waits_for=(f"{_UPSTREAM}.sqlalchemy",),
    ),
    replace(
        _upstream("httpx", "httpx", "HTTPXClientInstrumentor", "httpx", ">=0.27,<1"),
        prepare=f"{_FAILED_REQUESTS}:of_httpx",
    ),
    _upstream("requests", "requests", "RequestsInstrumentor", "requests", ">=2.30,<3"),
    Row("logging", "logging", "otel_kpi.instrumentation.logs.logging:Instrumentor", when="now"),
    Row(
        "structlog",
        "structlog",
        "otel_kpi.instrumentation.logs.structlog:Instrumentor",
        "structlog",
        ">=22.3",
    ),
    Row("loguru", "loguru", "otel_kpi.instrumentation.logs.loguru:Instrumentor", "loguru", ">=0.6,<1"),
    _driver("redis", ">=4.3.4,<9"),
    _driver("psycopg", ">=3.1.5,<4"),
    _driver("psycopg2", ">=2.9.5,<3"),
    _driver("asyncpg", ">=0.27,<1"),
    _driver("pymysql", ">=1.0,<2"),
    Row(
        "mysqlclient",
        "MySQLdb",
        "otel_kpi.instrumentation.databases.mysqlclient:Instrumentor",
        "mysqlclient",
        ">=2.2,<3",
    ),
    _driver("aiomysql", ">=0.2,<1"),
    _driver("pymongo", ">=4.0.2,<5"),
    Row("sqlite3", "sqlite3", "otel_kpi.instrumentation.databases.sqlite3:Instrumentor"),
    Row(
        "aiosqlite",
        "aiosqlite",
        "otel_kpi.instrumentation.databases.aiosqlite:Instrumentor",
        "aiosqlite",
        ">=0.19",
    ),
    replace(
        _upstream("httpx2", "httpx2", "HTTPX2ClientInstrumentor", "httpx2", ">=2,<3"),
        prepare=f"{_FAILED_REQUESTS}:of_httpx",
    ),
    Row(
        "urllib3",
        "urllib3",
        f"{_UPSTREAM}.urllib3:URLLib3Instrumentor",
        "urllib3",
        ">=2,<3",
        waits_for=(f"{_UPSTREAM}.urllib3",),
        # Upstream's span does not say to which server the request went, which the conventions require.
        options=MappingProxyType({"request_hook": server_address.of_urllib3}),
        prepare=f"{_FAILED_REQUESTS}:of_urllib3",
    ),
    Row(
        "celery",
        "celery.app.base",
        "otel_kpi.instrumentation.messaging.celery:Instrumentor",
        "celery",
        ">=5.4,<6",
        # A program whose first line is `from celery import chain` has these half made.
        waits_for=(
            f"{_UPSTREAM}.celery",
            "celery.canvas",
            "celery.result",
            "celery.app.task",
            "celery.worker.request",
        ),
    ),
    _kafka("kafka", "kafka-python", "Instrumentor", ">=2.0.3,<4"),
    _kafka("confluent_kafka", "confluent-kafka", "ConfluentInstrumentor", ">=2.6,<3"),
    _kafka("aiokafka", "aiokafka", "AiokafkaInstrumentor", ">=0.12,<1"),
    _upstream("aio-pika", "aio_pika", "AioPikaInstrumentor", "aio-pika", ">=9.5,<11"),
    Row(
        "pika",
        "pika",
        "otel_kpi.instrumentation.messaging.pika:Instrumentor",
        "pika",
        ">=1.3,<2",
        waits_for=(f"{_UPSTREAM}.pika",),
    ),
    Row(
        "botocore",
        "botocore.client",
        "otel_kpi.instrumentation.messaging.botocore:Instrumentor",
        "botocore",
        ">=1.35,<2",
        waits_for=(f"{_UPSTREAM}.botocore",),
    ),
    Row(
        "aiobotocore",
        "aiobotocore.client",
        "otel_kpi.instrumentation.messaging.botocore:AiobotocoreInstrumentor",
        "aiobotocore",
        ">=2.15,<4",
        waits_for=(f"{_UPSTREAM}.botocore",),
    ),
    _upstream("aiohttp-client", "aiohttp", "AioHttpClientInstrumentor", "aiohttp", ">=3.9,<4"),
    Row(
        "aiohttp-server",
        "aiohttp.web",
        "otel_kpi.instrumentation.servers.aiohttp:Instrumentor",
        "aiohttp",
        ">=3.9,<4",
        waits_for=(f"{_UPSTREAM}.aiohttp_server",),
    ),
    # A task costs five times as much with it (20 for 4 µs). It hides each coroutine behind its own (`repr(task)`), says "was never
    # awaited" of tasks that are cancelled before their first step, and silences asyncio's "exception was never
    # retrieved" (tests/process/test_asyncio.py). Context travels with tasks by itself.
    Row(
        "asyncio",
        "asyncio",
        f"{_UPSTREAM}.asyncio:AsyncioInstrumentor",
        waits_for=(f"{_UPSTREAM}.asyncio",),
        asked_by=(
            "OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE",
            "OTEL_PYTHON_ASYNCIO_FUTURE_TRACE_ENABLED",
            "OTEL_PYTHON_ASYNCIO_TO_THREAD_FUNCTION_NAMES_TO_TRACE",
        ),
        reason="it wraps every task of the process; OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE asks for it",
    ),
    _security("django_security", "django.core.handlers.base", "django", ">=4.2,<7"),
    _security("django_auth", "django.contrib.auth", "django", ">=4.2,<7", of="django_auth:Instrumentor"),
    _security(
        "djangorestframework",
        "rest_framework.views",
        "djangorestframework",
        ">=3.14,<4",
        of="rest_framework:Instrumentor",
    ),
    _security("starlette_security", "starlette.applications", "starlette", ">=0.37,<2"),
    _security("fastapi_security", "fastapi.security", "fastapi", ">=0.115,<1"),
    _security("pyjwt", "jwt", "pyjwt", ">=2.4,<3", of="tokens:PyJWT"),
    _security("python_jose", "jose.jwt", "python-jose", ">=3.3,<4", of="tokens:PythonJose"),
    _security("slowapi", "slowapi.extension", "slowapi", ">=0.1.9,<1", of="limits:SlowApi"),
    _security(
        "django_ratelimit", "django_ratelimit.core", "django-ratelimit", ">=4,<5", of="limits:DjangoRatelimit"
    ),
    # What an ASGI application does on a WebSocket, whichever row traces it. It patches nothing.
    Row("websocket", "asyncio", "otel_kpi.instrumentation.websockets.choices:Instrumentor", when="now"),
    Row(
        "channels",
        "channels.consumer",
        "otel_kpi.instrumentation.websockets.channels:Instrumentor",
        "channels",
        ">=4,<5",
    ),
    # --- language models; the packages come with otel-kpi[llm]
    _genai("openai", "openai", "OpenAIInstrumentor", "openai", ">=1.50,<4"),
    _genai("anthropic", "anthropic", "AnthropicInstrumentor", "anthropic", ">=0.51,<3"),
    Row(
        "google-genai",
        "google.genai",
        f"{_UPSTREAM}.google_genai:GoogleGenAiSdkInstrumentor",
        "google-genai",
        ">=1.32,<4",
        waits_for=(f"{_UPSTREAM}.google_genai",),
        prepare="otel_kpi.instrumentation.llm.google_genai:prepare",
        extra="llm",
    ),
    replace(
        _genai("bedrock", "botocore.client", "BedrockInstrumentor", "botocore", ">=1.40.46,<2"), quiet=True
    ),
    replace(
        _genai(
            "langchain",
            "langchain_core.runnables.base",
            "LangChainInstrumentor",
            "langchain-core",
            ">=0.3,<2",
        ),
        waits_for=_LANGCHAIN,
    ),
    _genai("llama_index", "llama_index.core", "LlamaIndexInstrumentor", "llama-index-core", ">=0.14.19,<1"),
    _genai("openai_agents", "agents", "OpenAIAgentsInstrumentor", "openai-agents", ">=0.3.3,<1"),
    _model_library("mistral", "mistralai.client", "mistralai", ">=2.10,<4"),
    _model_library("cohere", "cohere.base_client", "cohere", ">=5.16,<8"),
    _model_library("litellm", "litellm", "litellm", ">=1.80,<2"),
    Row("mcp", "mcp.client.session", "otel_kpi.instrumentation.llm.mcp:Instrumentor", "mcp", ">=2,<3"),
    _model_library("ollama", "ollama._client", "ollama", ">=0.4,<1"),
    Row("threading", "threading", "otel_kpi.instrumentation.runtime.threading:Instrumentor", when="now"),
    Row(
        "system_metrics",
        "psutil",
        "otel_kpi.instrumentation.runtime.process_metrics:Instrumentor",
        when="now",
    ),
)
