"""What a chat service measures: sessions, messages, recommendations, feedback, and what was turned away.

Two sets of names. `kpi.chat.*` are ours and stay. The fourteen under `{chat}.` are those of an older system, the
prefix comes from `OTEL_KPI_CHAT_PREFIX`: seven say once more what the helpers of this pack count, the others follow
from what OpenTelemetry's instrumentors measure anyway (`PACK.derivations`), so that no request is counted twice.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from otel_kpi.model import Attribute, Counter, Derivation, Histogram, Pack, UpDownCounter

_GEN_AI: Final = "OpenTelemetry https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/"
_FIXED: Final = "S2 fixes the name that Prometheus shows; the prefix is the system's own"
_LABEL: Final = "S2: a label of its series"

# --- attributes

_ROLES: Final = ("user", "assistant", "system", "tool")
_SEVERITIES: Final = ("info", "warning", "error", "critical")

ROLE: Final = Attribute(name="kpi.chat.role", brief="Who speaks.", members=_ROLES, source="S2")
LANGUAGE: Final = Attribute(
    name="kpi.chat.language",
    brief="The language of the message without its region, in two or three letters.",
    budget=10,
    examples=("ar", "en", "fr"),
    source="S2",
)
RATING: Final = Attribute(
    name="kpi.chat.feedback.rating",
    brief="What the user thought of an answer, a word or a number of the application's.",
    budget=10,
    examples=("positive", "negative", "5"),
    source="S2",
)
ERROR_TYPE: Final = Attribute(
    name="error.type",
    brief="What went wrong: the class of an error, or a word of the application's.",
    budget=50,
    examples=("TimeoutError", "ProviderError"),
    source="https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/",
)
VALIDATION_TYPE: Final = Attribute(
    name="error.type",
    brief="What was wrong with what the user sent: a word, never the value.",
    budget=30,
    examples=("missing", "string_too_long"),
    source="https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/",
)
SEVERITY: Final = Attribute(
    name="severity",
    brief="How much it matters to the service.",
    members=_SEVERITIES,
    source="S2: a label of its series, and the word of all alerts",
)

# --- what stays

SESSIONS_ACTIVE: Final = UpDownCounter(
    name="kpi.chat.sessions.active",
    unit="{session}",
    brief="Sessions that have begun and not ended.",
    source="B7",
    systems=("S2",),
    initial=((),),
)
SESSION_DURATION: Final = Histogram(
    name="kpi.chat.session.duration",
    unit="s",
    brief="From the beginning of a session to its end.",
    buckets=(1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0),
    source="B7",
    systems=("S2",),
)
MESSAGES: Final = Counter(
    name="kpi.chat.messages",
    unit="{message}",
    brief="Messages, by who speaks and in which language.",
    attributes=(ROLE, LANGUAGE),
    source="B7",
    systems=("S2",),
)
PRODUCT_RECOMMENDATIONS: Final = Counter(
    name="kpi.chat.product_recommendations",
    unit="{recommendation}",
    brief="Products that were recommended to users.",
    source="B7",
    systems=("S2",),
    initial=((),),
)
FEEDBACK: Final = Counter(
    name="kpi.chat.feedback",
    unit="{answer}",
    brief="What users thought of answers.",
    attributes=(RATING,),
    source="B7",
    systems=("S2",),
)
RATE_LIMIT_HITS: Final = Counter(
    name="kpi.chat.rate_limit_hits",
    unit="{request}",
    brief="Requests that were turned away because their sender had made too many.",
    source="B7",
    systems=("S2",),
    initial=((),),
)
VALIDATION_ERRORS: Final = Counter(
    name="kpi.chat.validation_errors",
    unit="{error}",
    brief="What users sent and the service could not accept, by what was wrong.",
    attributes=(VALIDATION_TYPE,),
    source="B7",
    systems=("S2",),
)
ERRORS: Final = Counter(
    name="kpi.chat.errors",
    unit="{error}",
    brief="Errors that the application reported, by type and severity.",
    attributes=(ERROR_TYPE, SEVERITY),
    source="B7; C1 HighErrorRate",
    systems=("S2",),
)

# --- the fourteen of the older system

_METHOD: Final = Attribute(
    name="method", brief="Of the request.", budget=12, examples=("POST",), source=_LABEL
)
_ROUTE: Final = Attribute(
    name="route",
    brief="The template of the route, `unmatched` where no route was found; never the path itself.",
    budget=100,
    examples=("/api/chat", "/api/products/{id}"),
    source=_LABEL,
)
_STATUS_CODE: Final = Attribute(
    name="status_code",
    brief="Of the response; `unknown` where the client went away before there was one.",
    budget=40,
    examples=("200",),
    source=_LABEL,
)
_ROLE: Final = Attribute(name="role", brief="Who speaks.", members=_ROLES, source=_LABEL)
_LANGUAGE: Final = Attribute(
    name="language", brief=LANGUAGE.brief, budget=10, examples=LANGUAGE.examples, source=_LABEL
)
_MODEL: Final = Attribute(
    name="model", brief="The model that was asked for.", budget=30, examples=("gpt-4",), source=_LABEL
)
_STATUS: Final = Attribute(name="status", brief="How it ended.", members=("success", "error"), source=_LABEL)
_TOKENS: Final = Attribute(
    name="type", brief="Whether they were sent or made.", members=("prompt", "completion"), source=_LABEL
)
_OPERATION_NAME: Final = Attribute(
    name="operation", brief="The command.", budget=40, examples=("SELECT", "GET"), source=_LABEL
)
_TYPE: Final = Attribute(
    name="type", brief=ERROR_TYPE.brief, budget=50, examples=("ValidationError",), source=_LABEL
)
_INVALID: Final = Attribute(
    name="type",
    brief=VALIDATION_TYPE.brief,
    budget=30,
    examples=VALIDATION_TYPE.examples,
    source=_LABEL,
)
_RATING: Final = Attribute(
    name="rating", brief=RATING.brief, budget=10, examples=RATING.examples, source=_LABEL
)

CHAT_HTTP_REQUEST_DURATION: Final = Histogram(
    name="{chat}.http.request.duration",
    unit="s",
    brief="Time of answering a request.",
    attributes=(_METHOD, _ROUTE, _STATUS_CODE),
    # S2's. They hold what its rules ask for: P95 over 2 s, slow from 5 s.
    buckets=(0.1, 0.5, 1.0, 2.0, 5.0, 10.0),
    source="B7; C1 HighLatency",
    systems=("S2",),
    series=500,
    exempt=_FIXED,
    compatibility=True,
)
CHAT_HTTP_REQUESTS: Final = Counter(
    name="{chat}.http.requests",
    unit="{request}",
    brief="Requests that were answered.",
    attributes=(_METHOD, _ROUTE, _STATUS_CODE),
    source="B7",
    systems=("S2",),
    series=500,
    exempt=_FIXED,
    compatibility=True,
)
CHAT_ACTIVE_SESSIONS: Final = UpDownCounter(
    name="{chat}.active_sessions",
    unit="{session}",
    brief=SESSIONS_ACTIVE.brief,
    source="B7",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
    initial=((),),
)
CHAT_MESSAGES: Final = Counter(
    name="{chat}.messages",
    unit="{message}",
    brief=MESSAGES.brief,
    attributes=(_ROLE, _LANGUAGE),
    source="B7",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
)
CHAT_AI_REQUEST_DURATION: Final = Histogram(
    name="{chat}.ai.request.duration",
    unit="s",
    brief="Time of a call of a language model.",
    attributes=(_MODEL, _STATUS),
    buckets=(0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0),
    source="B7",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
)
CHAT_AI_TOKENS: Final = Counter(
    name="{chat}.ai.tokens",
    unit="{token}",
    brief="Tokens that language models took and gave.",
    attributes=(_MODEL, _TOKENS),
    source="B7",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
)
CHAT_DB_QUERY_DURATION: Final = Histogram(
    name="{chat}.db.query.duration",
    unit="s",
    brief="Time of a statement in a database; of Redis there is the number of operations.",
    attributes=(_OPERATION_NAME,),
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    source="B7",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
)
CHAT_DB_CONNECTIONS: Final = UpDownCounter(
    name="{chat}.db.connections",
    unit="{connection}",
    brief="Connections of database pools that are in use.",
    source="B7",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
    observable=True,
)
CHAT_REDIS_OPERATIONS: Final = Counter(
    name="{chat}.redis.operations",
    unit="{operation}",
    brief="Commands to Redis; a pipeline is one.",
    attributes=(_OPERATION_NAME, _STATUS),
    source="B7",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
)
CHAT_ERRORS: Final = Counter(
    name="{chat}.errors",
    unit="{error}",
    brief=ERRORS.brief,
    attributes=(_TYPE, SEVERITY),
    source="B7; C1 HighErrorRate",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
)
CHAT_PRODUCT_RECOMMENDATIONS: Final = Counter(
    name="{chat}.product_recommendations",
    unit="{recommendation}",
    brief=PRODUCT_RECOMMENDATIONS.brief,
    source="B7",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
    initial=((),),
)
CHAT_USER_FEEDBACK: Final = Counter(
    name="{chat}.user_feedback",
    unit="{answer}",
    brief=FEEDBACK.brief,
    attributes=(_RATING,),
    source="B7",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
)
CHAT_RATE_LIMIT_HITS: Final = Counter(
    name="{chat}.rate_limit_hits",
    unit="{request}",
    brief=RATE_LIMIT_HITS.brief,
    source="B7",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
    initial=((),),
)
CHAT_VALIDATION_ERRORS: Final = Counter(
    name="{chat}.validation_errors",
    unit="{error}",
    brief=VALIDATION_ERRORS.brief,
    attributes=(_INVALID,),
    source="B7",
    systems=("S2",),
    exempt=_FIXED,
    compatibility=True,
)

# --- those that follow from what instrumentors measure

_REDIS: Final = MappingProxyType({"db.system.name": ("redis",)})
_FAILED: Final = MappingProxyType({"error.type": ()})
_REQUEST: Final = (("http.request.method",), ("http.route", "=unmatched"), ("http.response.status_code",))
_ASKED_MODEL: Final = ("gen_ai.request.model", "gen_ai.response.model")

_DERIVATIONS: Final = (
    Derivation(source="http.server.request.duration", target=CHAT_HTTP_REQUEST_DURATION, attributes=_REQUEST),
    Derivation(
        source="http.server.request.duration", target=CHAT_HTTP_REQUESTS, attributes=_REQUEST, amount="one"
    ),
    Derivation(
        source="db.client.operation.duration",
        target=CHAT_DB_QUERY_DURATION,
        attributes=(("db.operation.name",),),
        unless=_REDIS,
    ),
    Derivation(
        source="db.client.operation.duration",
        target=CHAT_REDIS_OPERATIONS,
        attributes=(("db.operation.name",), ("=success",)),
        where=_REDIS,
        unless=_FAILED,
        amount="one",
    ),
    Derivation(
        source="db.client.operation.duration",
        target=CHAT_REDIS_OPERATIONS,
        attributes=(("db.operation.name",), ("=error",)),
        where=MappingProxyType({**_REDIS, **_FAILED}),
        amount="one",
    ),
    Derivation(
        source="db.client.connection.count",
        target=CHAT_DB_CONNECTIONS,
        where=MappingProxyType({"db.client.connection.state": ("used",)}),
    ),
    Derivation(
        source="gen_ai.client.operation.duration",
        target=CHAT_AI_REQUEST_DURATION,
        attributes=(_ASKED_MODEL, ("=success",)),
        unless=_FAILED,
    ),
    Derivation(
        source="gen_ai.client.operation.duration",
        target=CHAT_AI_REQUEST_DURATION,
        attributes=(_ASKED_MODEL, ("=error",)),
        where=_FAILED,
    ),
    Derivation(
        source="gen_ai.client.token.usage",
        target=CHAT_AI_TOKENS,
        attributes=(_ASKED_MODEL, ("=prompt",)),
        where=MappingProxyType({"gen_ai.token.type": ("input",)}),
    ),
    Derivation(
        source="gen_ai.client.token.usage",
        target=CHAT_AI_TOKENS,
        attributes=(_ASKED_MODEL, ("=completion",)),
        where=MappingProxyType({"gen_ai.token.type": ("output", "completion")}),
    ),
)

PACK: Final = Pack(
    name="chat",
    title="Chat",
    brief="Sessions, messages by role and language, recommendations, feedback, errors; with a prefix of an older "
    "system also the fourteen series that it had.",
    instruments=(
        SESSIONS_ACTIVE,
        SESSION_DURATION,
        MESSAGES,
        PRODUCT_RECOMMENDATIONS,
        FEEDBACK,
        RATE_LIMIT_HITS,
        VALIDATION_ERRORS,
        ERRORS,
        CHAT_HTTP_REQUEST_DURATION,
        CHAT_HTTP_REQUESTS,
        CHAT_ACTIVE_SESSIONS,
        CHAT_MESSAGES,
        CHAT_AI_REQUEST_DURATION,
        CHAT_AI_TOKENS,
        CHAT_DB_QUERY_DURATION,
        CHAT_DB_CONNECTIONS,
        CHAT_REDIS_OPERATIONS,
        CHAT_ERRORS,
        CHAT_PRODUCT_RECOMMENDATIONS,
        CHAT_USER_FEEDBACK,
        CHAT_RATE_LIMIT_HITS,
        CHAT_VALIDATION_ERRORS,
    ),
    derivations=_DERIVATIONS,
)
