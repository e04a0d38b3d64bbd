"""Which tests of ours say that a library is seen: one line for each library of the table."""

from __future__ import annotations

from dataclasses import dataclass

UNIT = "tests/unit/instrumentation"
PROCESS = "tests/process"


@dataclass(frozen=True)
class Library:
    """A library of the matrix.

    Attributes:
        rows: Rows of `otel_kpi.instrumentation.TABLE` that these tests are about; the first has the specifier.
        tests: Arguments of pytest.
        install: What is installed where it is not the row's distribution: a name, perhaps with extras.
        beside: What the tests need beside it, in versions that need no resolution of ours.
        oldest: What the oldest version needs in addition.
        reasons: By the end of the range: why there is no cell.
        resolved: The newest version is the newest that can be installed here with what it requires.
    """

    rows: tuple[str, ...]
    tests: tuple[str, ...]
    install: str = ""
    beside: tuple[str, ...] = ()
    oldest: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()
    resolved: bool = False

    @property
    def name(self) -> str:
        return self.rows[0]


def _server(
    name: str,
    *beside: str,
    rows: tuple[str, ...] = (),
    words: str = "",
    install: str = "",
    oldest: tuple[str, ...] = (),
) -> Library:
    tests = (f"{PROCESS}/test_servers.py", "-m", "proof or not proof", "-k", words or name)
    return Library(rows or (name,), tests, install=install, beside=beside, oldest=oldest)


_STARLETTE = ("starlette", "websockets")
_REFUSING = ("fastapi", "slowapi", "pyjwt", "python-jose", "httpx<1")
_OFFICE = ("djangorestframework-simplejwt", "django-ratelimit", "httpx<1", "gunicorn", "uvicorn")

_GENAI = "opentelemetry-util-genai>=1.3b0,<1.4"


def _model(
    row: str,
    *beside: str,
    package: str = "",
    words: str = "",
    oldest: tuple[str, ...] = (),
    install: str = "",
) -> Library:
    """A library of language models; upstream's packages are pre-releases, each named so that it may be taken."""
    tests = (f"{UNIT}/test_llm_versions.py", "-m", "proof or not proof", "-k", f"test_{words or row}")
    beside = (
        _GENAI,
        *((f"opentelemetry-instrumentation-{package}>=1.3b0,<1.4",) if package else ()),
        *beside,
    )
    return Library((row,), tests, install=install, beside=beside, oldest=oldest, resolved=True)


_OVER_OPENAI = ("opentelemetry-instrumentation-genai-openai>=1.3b0,<1.4", "openai")


LIBRARIES = (
    Library(("fastapi",), (f"{UNIT}/test_fastapi.py",), beside=("httpx>=0.27,<1", "websockets")),
    Library(("starlette",), (f"{UNIT}/test_starlette.py",), beside=("httpx>=0.27,<1",)),
    Library(("flask",), (f"{UNIT}/test_flask.py",), oldest=("werkzeug<3",)),
    _server("quart", "hypercorn", "uvicorn", words="quart", oldest=("flask<3.1",)),
    _server("uvicorn", *_STARLETTE, words="uvicorn and (asgi or starlette) and not gunicorn"),
    _server("hypercorn", *_STARLETTE, words="hypercorn and (asgi or starlette)"),
    _server("daphne", *_STARLETTE),
    _server("gunicorn", "flask", words="gunicorn and (sync or gthread)", oldest=("setuptools<81",)),
    _server("gunicorn_asgi", *_STARLETTE, words="gunicorn and asgi"),
    _server("granian_asgi", *_STARLETTE, "flask", rows=("granian_asgi", "granian_wsgi"), words="granian", install="granian"),
    _server("waitress", "flask"),
    Library(
        ("django", "django_sqlite"), (f"{PROCESS}/test_django.py",), beside=("gunicorn", "uvicorn"),
    ),
    Library(
        ("django_database",), (f"{UNIT}/test_django_database.py", f"{UNIT}/test_pools_django.py"),
        beside=("psycopg[binary]", "psycopg2-binary", "pymysql"),
    ),
    Library(
        ("sqlalchemy",), (f"{UNIT}/test_sqlalchemy.py", f"{UNIT}/test_pools_sqlalchemy.py"),
        beside=("greenlet", "psycopg[binary]", "aiosqlite<0.22"),
    ),
    Library(("httpx",), (f"{UNIT}/test_httpx.py",)),
    Library(("httpx2",), (f"{UNIT}/test_httpx.py",)),
    Library(("requests",), (f"{UNIT}/test_requests.py",)),
    Library(("urllib3",), (f"{UNIT}/test_urllib3.py",)),
    Library(
        ("aiohttp-client", "aiohttp-server"), (f"{UNIT}/test_aiohttp.py", f"{UNIT}/test_aiohttp_server.py"),
        install="aiohttp", oldest=("yarl<1.10",),  # 3.9's server builds a URL that later ones refuse
    ),
    Library(("structlog",), (f"{UNIT}/test_structlog.py",)),
    Library(("loguru",), (f"{UNIT}/test_loguru.py",)),
    Library(("redis",), (f"{UNIT}/test_redis.py",)),
    Library(
        ("psycopg",), (f"{UNIT}/test_psycopg.py", f"{UNIT}/test_pools_psycopg.py"),
        install="psycopg[binary]", beside=("psycopg-pool",),
    ),
    Library(("psycopg2",), (f"{UNIT}/test_psycopg2.py",), install="psycopg2-binary"),
    Library(("asyncpg",), (f"{UNIT}/test_asyncpg.py", f"{UNIT}/test_pools_asyncpg.py")),
    Library(("pymysql",), (f"{UNIT}/test_pymysql.py",)),
    Library(("mysqlclient",), (f"{UNIT}/test_mysqlclient.py",), beside=("pymysql",)),
    Library(("aiomysql",), (f"{UNIT}/test_aiomysql.py",)),
    Library(("pymongo",), (f"{UNIT}/test_pymongo.py",)),
    Library(("aiosqlite",), (f"{UNIT}/test_aiosqlite.py",)),
    Library(("celery",), (f"{PROCESS}/test_celery.py",), beside=("sqlalchemy", "redis", "gevent")),
    Library(("kafka",), (f"{UNIT}/test_kafka.py",)),
    Library(("confluent_kafka",), (f"{UNIT}/test_confluent_kafka.py",)),
    Library(("aiokafka",), (f"{UNIT}/test_aiokafka.py",)),
    Library(("aio-pika",), (f"{UNIT}/test_aio_pika.py",)),
    Library(("pika",), (f"{UNIT}/test_pika.py",)),
    Library(("botocore",), (f"{UNIT}/test_botocore.py",), beside=("boto3",)),
    Library(("aiobotocore",), (f"{UNIT}/test_aiobotocore.py",)),
    Library(
        ("django_security", "django_auth"), (f"{PROCESS}/test_security.py",),
        beside=("djangorestframework", *_OFFICE), oldest=("djangorestframework<3.16",),
    ),
    Library(
        ("djangorestframework",), (f"{PROCESS}/test_security.py",),
        beside=("django", *_OFFICE), oldest=("django<5", "setuptools<81"),
    ),
    Library(
        ("django_ratelimit",), (f"{PROCESS}/test_security.py",), beside=("django", "djangorestframework", *_OFFICE),
    ),
    Library(
        ("channels",), (f"{PROCESS}/test_websockets.py", "-m", "proof or not proof", "-k", "channels"),
        beside=("django", "daphne", "uvicorn", "websockets"), oldest=("setuptools<81",),
    ),
    Library(
        ("fastapi_security", "starlette_security"), (f"{UNIT}/test_security_fastapi.py",), beside=_REFUSING,
    ),
    Library(("pyjwt",), (f"{UNIT}/test_security_fastapi.py",), beside=_REFUSING),
    Library(("python_jose",), (f"{UNIT}/test_security_fastapi.py",), beside=_REFUSING),
    Library(("slowapi",), (f"{UNIT}/test_security_fastapi.py",), beside=_REFUSING),
    _model("openai", package="genai-openai", oldest=("httpx<0.28",)),  # 1.50 hands httpx what later ones refuse
    _model("anthropic", package="genai-anthropic"),
    _model("google-genai", package="google-genai", words="google_genai"),
    _model("mistral"),
    _model("cohere"),
    _model("ollama"),
    _model("litellm", *_OVER_OPENAI),
    Library(
        ("bedrock",), (f"{UNIT}/llm/test_bedrock.py",), install="boto3",
        beside=(_GENAI, "opentelemetry-instrumentation-genai-bedrock>=1.3b0,<1.4", *_OVER_OPENAI), resolved=True,
    ),
    Library(("mcp",), (f"{UNIT}/llm/test_mcp.py",), beside=(_GENAI, *_OVER_OPENAI, "uvicorn"), resolved=True),
    _model("langchain", "langchain", "langchain-openai", *_OVER_OPENAI, package="genai-langchain"),
    _model("llama_index", "llama-index-llms-openai", *_OVER_OPENAI, package="genai-llama-index"),
    _model("openai_agents", *_OVER_OPENAI, package="genai-openai-agents"),
)  # fmt: skip

STANDARD_LIBRARY = {
    "logging": f"{UNIT}/test_logging.py",
    "sqlite3": f"{UNIT}/test_sqlite3.py",
    "threading": f"{UNIT}/test_threading.py",
    "asyncio": f"{PROCESS}/test_asyncio.py",
    "wsgiref": f"{UNIT}/test_wsgi.py",
    "system_metrics": f"{PROCESS}/test_process_metrics.py",
    "websocket": f"{UNIT}/test_websocket_conversation.py",
}
"""Rows whose version is Python's, which the whole of our tests runs on."""

WITHOUT = {
    "werkzeug": "Flask's development server; its tests run with Flask's newest version",
    "click": "it has no instrumentor of its own here; a script's root span has the command's name",
}
"""Rows without a cell, and why."""

EVERY_DAY = (("httpx", "oldest"), ("aiosqlite", "newest"))
"""Cells that are cheap enough for `make test`."""
