"""What of an event leaves the process: no secrets, no bodies, no cookies, nobody's name.

Two promises. Of a client that we made, an event loses everything that could be personal (`scrub`). A client that
the application made keeps what the application decided to send, without the secrets in it (`redact`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from otel_kpi.redaction import REDACTED, hashed, redact_text, redact_value
from otel_kpi.sentry import frames, headers

if TYPE_CHECKING:
    from collections.abc import Callable

    Event = dict[str, Any]
    BeforeSend = Callable[[Event, dict[str, Any]], Event | None]

# Ids, and what the operator of the process wrote into its settings.
_VERBATIM = frozenset(
    [
        "event_id",
        "timestamp",
        "start_timestamp",
        "type",
        "platform",
        "level",
        "release",
        "environment",
        "dist",
    ]
)
# Remarks about what the SDK cut; they repeat the keys of mappings, which may be anything.
_DROPPED = frozenset(["_meta"])
_STACKS = frozenset(["exception", "threads", "stacktrace"])
# Under these names stands who somebody is; `{{auto}}` as an address tells the server to take the sender's.
_IDENTITY = ("id", "email", "username", "name")
_PERSONAL = frozenset([*_IDENTITY, "ip_address", "geo"])


def scrubber(before: BeforeSend | None, user: Callable[[Any], Any]) -> BeforeSend:
    """The last step before an event is sent: the application's `before_send`, then the scrubber."""

    def before_send(event: Event, hint: dict[str, Any]) -> Event | None:
        kept = event if before is None else before(event, hint)
        return None if kept is None else scrub(kept, user)

    return before_send


def scrub(event: Event, user: Callable[[Any], Any]) -> Event:
    """The event without secrets, bodies, cookies and unknown headers.

    Args:
        event: As the SDK made it, of texts, numbers, lists and dictionaries.
        user: What becomes of the user, see `known_user`.
    """
    scrubbed: Event = {}
    for name, value in event.items():
        if name in _VERBATIM:
            scrubbed[name] = value
        elif name == "request":
            scrubbed[name] = _request(value)
        elif name == "user":
            if who := user(value):
                scrubbed[name] = who
        elif name not in _DROPPED:
            scrubbed[name] = _part(name, value, libraries=False)
    if not scrubbed.get("release"):
        scrubbed.pop("release", None)
    return scrubbed


def redact(event: Event) -> Event:
    """The event of a client that the application made: what it carries stays, the secrets in it go."""
    redacted: Event = {}
    for name, value in event.items():
        redacted[name] = value if name in _VERBATIM or name == "_meta" else _part(name, value, libraries=True)
    request = redacted.get("request")
    if isinstance(request, dict):
        redacted["request"] = _with_query(cast("Event", request))
    return redacted


def redact_item(item: Any) -> Any:
    """A log record, metric or span of Sentry's own without the secrets in it."""
    if not isinstance(item, dict):
        return item
    known = cast("dict[str, Any]", item)
    changed = {
        name: redact_value(name, known[name])
        for name in ("body", "name", "attributes", "message")
        if name in known
    }
    # The batcher writes into what it was given, and others hold it too.
    return {**known, **changed}


def _part(name: str, value: Any, *, libraries: bool) -> Any:
    if name in _STACKS:
        return frames.without_secrets(name, value, libraries=libraries)
    if name == "logentry":
        return _logentry(value)
    if name == "breadcrumbs":
        return _breadcrumbs(value)
    if name == "modules" and isinstance(value, dict):
        # The names are those of packages; `django-auth` is no secret.
        return {key: redact_text(str(version)) for key, version in cast("dict[str, Any]", value).items()}
    return redact_value(name, value)


def known_user(mode: str) -> Callable[[Any], Any]:
    """What an event says of its user.

    Args:
        mode: `hash` sends a hash of the id (without one, of the e-mail address or the name), `id` the id as it
            is, `none` nothing. An e-mail address, a name and an address on the network are never sent. The hash
            is that of the policy: who is `email:<hash>` in a log record is `<hash>` here.
    """

    def who(user: Any) -> dict[str, Any] | None:
        if mode == "none" or not isinstance(user, dict):
            return None
        given = cast("dict[str, Any]", user)
        identity = next((name for name in _IDENTITY if given.get(name) not in (None, "")), None)
        kept = {name: redact_value(name, value) for name, value in given.items() if name not in _PERSONAL}
        if identity is not None:
            plain = mode == "id" and identity == "id"
            text = str(given[identity])
            kept["id"] = redact_text(text) if plain else hashed(text)
        return kept or None

    return who


def _request(request: Any) -> Any:
    if not isinstance(request, dict):
        return REDACTED
    kept: Event = {
        name: redact_value(name, value)
        for name, value in cast("dict[str, Any]", request).items()
        if name not in ("data", "cookies", "headers")
    }
    given = cast("dict[str, Any]", request).get("headers")
    if isinstance(given, dict):
        kept["headers"] = headers.known(cast("dict[str, Any]", given))
    return _with_query(kept)


def _with_query(request: Event) -> Event:
    query = request.get("query_string")
    if isinstance(query, str) and query:
        # The rules know parameters by what stands before them.
        return {**request, "query_string": redact_text(f"?{query}")[1:]}
    return request


def _logentry(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return redact_value("logentry", entry)
    kept = dict(cast("dict[str, Any]", redact_value("logentry", entry)))
    # "password=%s" and its argument are sent apart; only together do they show what the argument is.
    if kept.get("formatted") != entry.get("formatted") and kept.get("params"):
        kept["params"] = [REDACTED]
    return kept


def _breadcrumbs(crumbs: Any) -> Any:
    values = crumbs.get("values") if isinstance(crumbs, dict) else None
    if not isinstance(values, list):
        return redact_value("breadcrumbs", crumbs)
    return {"values": [_breadcrumb(crumb) for crumb in cast("list[Any]", values)]}


def _breadcrumb(crumb: Any) -> Any:
    kept = redact_value("breadcrumb", crumb)
    if isinstance(kept, dict):
        # A statement is cleaned by the rules for statements, which go by the name of the attribute.
        known = cast("dict[str, Any]", kept)
        if known.get("category") == "query" and isinstance(known.get("message"), str):
            return {**known, "message": redact_value("db.query.text", known["message"])}
    return kept
