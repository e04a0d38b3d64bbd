"""What is measured of a system's defence: intrusions, authentication, rate limits, what input lost, suspicious clients.

Addresses are on log events alone, whose names begin with `security.`: no series and no span has one.
"""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Event, Gauge, Histogram, Pack

_AUTH_FAILURES_ARE: Final = "S4: its alert on authentication failures, its runbook by (reason)"

KINDS: Final = (
    "sql_injection", "cross_site_scripting", "path_traversal", "command_injection", "disallowed_host",
    "disallowed_redirect", "session_tampering", "oversized_request", "malformed_upload", "forbidden_lookup",
    "scanning", "suspicious_operation",
)  # fmt: skip
"""Kinds of intrusion attempts that are at 0 from the start; an application may add eight of its own."""

REASONS: Final = (
    "missing_credentials", "invalid_credentials", "invalid_token", "invalid_signature", "invalid_claims",
    "expired", "inactive", "permission_denied", "invalid_session", "csrf",
)  # fmt: skip
"""Why an authentication failed; there are no others."""

SCHEMES: Final = (
    "password", "session", "token", "jwt", "api_key", "basic", "bearer", "digest", "oauth2", "remote_user",
)  # fmt: skip

KIND: Final = Attribute(
    name="kpi.security.intrusion.kind",
    brief="What was attempted.",
    budget=20,
    members=KINDS,
    examples=("path_traversal", "disallowed_host"),
)
SCHEME: Final = Attribute(
    name="kpi.security.auth.scheme",
    brief="How the client said who it is.",
    budget=15,
    members=SCHEMES,
    examples=("jwt", "api_key"),
)
AUTH_RESULT: Final = Attribute(
    name="kpi.security.auth.result", brief="Whether it was believed.", members=("success", "failure")
)
AUTH_REASON: Final = Attribute(
    name="kpi.security.auth.reason",
    brief="Why it was not believed, or not allowed; not there for a success.",
    members=REASONS,
    required=False,
)
REASON: Final = Attribute(
    name="reason", brief="Why an authentication failed.", members=REASONS, source=_AUTH_FAILURES_ARE
)
POLICY: Final = Attribute(
    name="kpi.security.rate_limit.policy",
    brief="The limit, as the application or the library calls it.",
    budget=20,
    examples=("login", "5 per 1 minute", "5/m"),
)
LIMIT_RESULT: Final = Attribute(
    name="kpi.security.rate_limit.result",
    brief="Whether the limit let the request pass.",
    members=("allowed", "limited"),
    source="as aspnetcore.rate_limiting.result",
)
OPERATION: Final = Attribute(
    name="kpi.security.operation",
    brief="What is secured: a route or a function, not a path with ids in it.",
    budget=40,
    examples=("orders.create",),
)
REQUEST_RESULT: Final = Attribute(
    name="kpi.security.request.result",
    brief="How it ended.",
    members=("allowed", "denied", "error", "cancellation"),
)
SANITIZATION: Final = Attribute(
    name="kpi.security.sanitization.kind",
    brief="What was taken out of input.",
    budget=20,
    examples=("html", "control_characters", "path"),
)
SUSPICION: Final = Attribute(
    name="kpi.security.suspicion.reason",
    brief="What makes a client suspicious.",
    budget=20,
    examples=("honeypot", "too_many_failures"),
)
EVENT_NAME: Final = Attribute(
    name="kpi.security.event",
    brief="Name of the event.",
    members=("security.intrusion", "security.authentication", "security.rate_limit", "security.suspicion"),
)
DROP_REASON: Final = Attribute(
    name="kpi.security.drop.reason",
    brief="Too many at once, or an error while it was written.",
    members=("rate", "error"),
)
CLIENT_ADDRESS: Final = Attribute(
    name="client.address",
    brief="The client's address, whole; behind a proxy that is not resolved the proxy's.",
    examples=("203.0.113.77",),
    source="https://opentelemetry.io/docs/specs/semconv/attributes-registry/client/",
    required=False,
)
FORWARDED_FOR: Final = Attribute(
    name="http.request.header.x-forwarded-for",
    brief="What the request says of where it came from; anybody can write it.",
    type="string[]",
    source="https://opentelemetry.io/docs/specs/semconv/attributes-registry/http/",
    required=False,
)

INTRUSION_ATTEMPTS: Final = Counter(
    name="kpi.security.intrusion_attempts",
    unit="{attempt}",
    brief="Requests that the application or its framework takes for an attack.",
    attributes=(KIND,),
    prometheus="kpi_security_intrusion_attempts_total",
    source="B4; C1 SecurityIntrusionAttempts",
    systems=("S0", "S4"),
    initial=tuple((kind,) for kind in KINDS),
)
AUTH_ATTEMPTS: Final = Counter(
    name="kpi.security.auth.attempts",
    unit="{attempt}",
    brief="Authentications, one for each request however many layers look at it, by how they ended.",
    attributes=(SCHEME, AUTH_RESULT, AUTH_REASON),
    source="B4",
    systems=("S0", "S2", "S4"),
    series=200,
)
DJANGO_AUTH_FAILURES: Final = Counter(
    name="django.auth.failures",
    unit="{failure}",
    brief="Authentications in Django's requests that failed, by why.",
    attributes=(REASON,),
    prometheus="django_auth_failures_total",
    source="B4; B17",
    systems=("S4",),
    exempt="S4 fixes the name",
    compatibility=True,
    initial=tuple((reason,) for reason in REASONS),
)
RATE_LIMIT_REQUESTS: Final = Counter(
    name="kpi.security.rate_limit.requests",
    unit="{request}",
    brief="Requests that a rate limit looked at, one for each limit.",
    attributes=(LIMIT_RESULT, POLICY),
    source="B4; as aspnetcore.rate_limiting.requests",
    systems=("S0", "S2", "S4"),
)
SECURED_REQUEST_DURATION: Final = Histogram(
    name="kpi.security.secured_request.duration",
    unit="s",
    brief="Time of a request or a call that needs permission, the check included.",
    attributes=(OPERATION, REQUEST_RESULT),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10),
    source="B4",
    systems=("S0",),
)
SANITIZATIONS: Final = Counter(
    name="kpi.security.sanitizations",
    unit="{value}",
    brief="Values of input out of which something dangerous was taken.",
    attributes=(SANITIZATION,),
    source="B4",
    systems=("S2",),
)
SUSPICIONS: Final = Counter(
    name="kpi.security.suspicions",
    unit="{suspicion}",
    brief="Times that a client was found suspicious, by why.",
    attributes=(SUSPICION,),
    source="B4",
    systems=("S2", "S4"),
)
SUSPICIOUS_CLIENTS: Final = Gauge(
    name="kpi.security.suspicious_clients",
    unit="{client}",
    brief="Distinct clients that this process found suspicious in the last hour, 10,000 at most.",
    source="B4",
    systems=("S2",),
    observable=True,
    minimum=0,
)
UNCOUNTED_CLIENTS: Final = Counter(
    name="kpi.security.suspicious_clients.uncounted",
    unit="{suspicion}",
    brief="Suspicions of clients that are not among the 10,000 which are told apart.",
    source="E4",
)
DROPPED_EVENTS: Final = Counter(
    name="kpi.security.events.dropped",
    unit="{event}",
    brief="Security events that were not written; what they tell of is counted all the same.",
    attributes=(EVENT_NAME, DROP_REASON),
    source="E4",
)

PACK: Final = Pack(
    name="security",
    title="Security",
    brief="Intrusion attempts, authentication, rate limits, secured requests, input that was cleaned and clients"
    " that are suspicious. Addresses are on log events alone.",
    instruments=(
        INTRUSION_ATTEMPTS,
        AUTH_ATTEMPTS,
        DJANGO_AUTH_FAILURES,
        RATE_LIMIT_REQUESTS,
        SECURED_REQUEST_DURATION,
        SANITIZATIONS,
        SUSPICIONS,
        SUSPICIOUS_CLIENTS,
        UNCOUNTED_CLIENTS,
        DROPPED_EVENTS,
    ),
    events=(
        Event(
            name="security.intrusion",
            brief="A request was taken for an attack.",
            attributes=(KIND, CLIENT_ADDRESS, FORWARDED_FOR),
            source="B4",
            systems=("S0", "S4"),
        ),
        Event(
            name="security.authentication",
            brief="An authentication failed.",
            attributes=(SCHEME, AUTH_REASON, CLIENT_ADDRESS, FORWARDED_FOR),
            source="B4",
            systems=("S4",),
        ),
        Event(
            name="security.rate_limit",
            brief="A request was turned away, since there were too many.",
            attributes=(POLICY, CLIENT_ADDRESS, FORWARDED_FOR),
            source="B4",
            systems=("S2",),
        ),
        Event(
            name="security.suspicion",
            brief="A client was found suspicious.",
            attributes=(SUSPICION, CLIENT_ADDRESS, FORWARDED_FOR),
            source="B4",
            systems=("S2", "S4"),
        ),
    ),
)
