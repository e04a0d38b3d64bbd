"""What never leaves the process: passwords, tokens, keys, cookies and authorization headers.

Two questions are asked of every attribute: does its *name* say that the value is a secret
(`is_secret_name`), and does its *text* carry one (`RULES`)? A policy grows by another word or another rule;
the walk over attributes, lists and mappings stays as it is. Everything here is pure, needs only the standard
library, and never raises: what a rule cannot handle is replaced as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, cast

REDACTED = "[redacted]"

# Words that make a name secret wherever they stand in it: `http.request.header.set-cookie`.
_ANYWHERE = frozenset((
    "authorization", "cookie", "cookies", "password", "passwd", "passphrase", "pwd", "secret", "secrets",
    "credential", "credentials", "apikey", "csrf", "xsrf", "csrftoken", "csrfmiddlewaretoken", "sessionid",
    "phpsessid", "jwt", "cvv", "cvc",
))  # fmt: skip
# Pairs of neighbouring words that do the same: `x-api-key`, `aws_secret_access_key`, `cardNumber`.
_PAIRS = frozenset((
    ("api", "key"), ("access", "key"), ("private", "key"), ("encryption", "key"), ("signing", "key"),
    ("account", "key"), ("shared", "key"), ("session", "key"), ("session", "token"), ("session", "cookie"),
    ("card", "number"), ("credit", "card"), ("connect", "sid"),
))  # fmt: skip
# Words that are secret only as the last one: `access_token` is, `gen_ai.token.type` and `session.id` are not.
_LAST = frozenset({"token", "session", "auth"})
# A name that ends like this speaks about a secret and does not carry it: `token_count`, `password.policy`.
_ABOUT = frozenset((
    "count", "type", "length", "limit", "policy", "expires", "expiry", "expired", "enabled", "required", "valid",
    "at", "url", "uri", "endpoint",
))  # fmt: skip
# The same words written together: `dbpassword`, `accesstoken`.
_INSIDE = ("password", "passwd", "passphrase", "apikey", "privatekey", "accesskey", "secretkey", "authtoken",
           "accesstoken", "refreshtoken", "clientsecret", "cardnumber")  # fmt: skip
# The working directory of a shell, not a password.
_PATHS = frozenset({"PWD", "OLDPWD"})
# Query parameters that sign a request (https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/).
_SIGNATURES = frozenset(
    [
        "awsaccesskeyid",
        "signature",
        "sig",
        "x-amz-signature",
        "x-amz-credential",
        "x-amz-security-token",
        "x-goog-signature",
    ]
)

# Names and texts repeat from span to span, so verdicts are kept; a full memory starts afresh. Only clean texts
# are remembered: a secret never stays behind in a cache.
_MEMORY_SIZE = 4096
_TEXT_SIZE = 256
_DEPTH = 16

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")

_names: dict[str, bool] = {}
_clean: set[str] = set()


def is_secret_name(name: str) -> bool:
    """Whether a value with this name is a secret, whatever the value is.

    Names are compared by their words, so `X-Api-Key`, `x_api_key`, `xApiKey` and
    `http.request.header.x-api-key` are one name, while `gen_ai.usage.input_tokens` and `session.id` are clean.
    """
    verdict = _names.get(name)
    if verdict is None:
        verdict = _judge(name)
        if len(_names) >= _MEMORY_SIZE:
            _names.clear()
        if len(name) <= _TEXT_SIZE:
            _names[name] = verdict
    return verdict


def _judge(name: str) -> bool:
    if name in _PATHS:
        return False
    words = _WORD.findall(_CAMEL.sub("_", name).lower())
    if not words or words[-1] in _ABOUT:
        return False
    return (
        words[-1] in _LAST
        or not _ANYWHERE.isdisjoint(words)
        or any(pair in _PAIRS for pair in pairwise(words))
        or any(part in word for word in words for part in _INSIDE)
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to look for in a text.

    Attributes:
        name: What is found, for a person.
        markers: Lower-case pieces, one of which is in every text that the pattern can match. They are looked
            for first, because a substring costs a hundredth of a pattern.
        replace: Returns the text without what was found.
    """

    name: str
    markers: tuple[str, ...]
    replace: Callable[[str], str]


def _pair(match: re.Match[str]) -> str:
    """Keep `name=` and drop the value, where the name is a secret's."""
    if not is_secret_name(match["name"]):
        return match[0]
    quote = match["quote"] or ""
    # An unfinished quotation has no closing quote to give back.
    return f"{match['before']}{quote}{REDACTED}{quote if match[0].endswith(quote) else ''}"


def _parameter(match: re.Match[str]) -> str:
    name = match["name"]
    return f"{match['before']}{REDACTED}" if name.lower() in _SIGNATURES or is_secret_name(name) else match[0]


# Every word that can make a name secret; a text without one has no `name=value` to look at.
_NAME_MARKERS = (
    "passw", "passp", "pwd", "secret", "token", "key", "credential", "session", "cookie", "auth", "csrf", "xsrf",
    "sessid", "jwt", "cvv", "cvc", "card", "connect",
)  # fmt: skip

# A name and what stands between it and its value: its quotes (also escaped ones), an annotation of source code,
# and `=` or `:`. Only behind a secret's name is the value looked for, so that a text inside another one's value
# (`ValueError: password=…`, `message="token=…"`) is looked at too, and each character is looked at once.
_NAME_BEFORE_VALUE = re.compile(
    r"(?<![\w.\-])(?P<name>[\w.\-]{1,128})(?:\\*[\"'])?\]?\s*"
    r"(?::\s*[A-Za-z_][\w.\[\]| ]{0,63}=(?!=)|[:=]{1,2}>?)\s*(?:[bfru]{1,2}(?=\\*[\"']))?",
    re.IGNORECASE,
)
# The value: quoted with escapes, quoted and cut off, or a bare word with the scheme before it.
_VALUE = re.compile(
    r"(?P<quote>\\*[\"'])(?:(?:(?!(?P=quote))(?:\\.|[^\\]))*)(?:(?P=quote)|\Z)"
    r"|(?:(?:basic|bearer|digest|negotiate|token|apikey)\s+)?(?:\[redacted\]|[^\s,;&\"'<>(){}\[\]]+)",
    re.IGNORECASE | re.DOTALL,
)


def _pairs(text: str) -> str:
    """Drop the value behind each `name=` or `name:` where the name is a secret's."""
    pieces: list[str] = []
    done = position = 0
    while (found := _NAME_BEFORE_VALUE.search(text, position)) is not None:
        value = _VALUE.match(text, found.end()) if is_secret_name(found["name"]) else None
        if value is None:
            position = found.end("name")
            continue
        quote = value["quote"] or ""
        # An unfinished quotation has no closing quote to give back.
        closing = quote if value[0].endswith(quote) else ""
        pieces += (text[done : found.end()], quote, REDACTED, closing)
        done = position = value.end()
    return "".join((*pieces, text[done:])) if pieces else text


RULES: tuple[Rule, ...] = (
    Rule(
        "user information in an address",
        ("://",),
        # A password may hold `@` and `/` unescaped; a port followed by a path must not be taken for one.
        partial(
            re.compile(
                r"(://)(?:[^\s/?#'\"<>]{0,1024}@|[^\s/:@'\"<>]{0,256}:(?!\d+[/?#])[^\s@'\"<>]{1,512}@)"
            ).sub,
            rf"\1{REDACTED}@",
        ),
    ),
    Rule(
        "query parameter",
        ("?", "&"),
        partial(re.compile(r"(?P<before>[?&;](?P<name>[\w.\-\[\]%]{1,128})=)[^\s&;#'\"<>]+").sub, _parameter),
    ),
    Rule(
        "private key",
        ("private key-----",),
        partial(
            re.compile(
                r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
            ).sub,
            REDACTED,
        ),
    ),
    Rule(
        "JSON web token",
        ("eyj",),
        partial(re.compile(r"\beyJ[\w\-]{8,}\.[\w\-]+(?:\.[\w\-]*)?").sub, REDACTED),
    ),
    Rule(
        "cookie header",
        ("cookie",),
        partial(
            re.compile(r"(?i)(\bcookie2?[\"']?\s*[:=]\s*+(?![\[{(])[\"']?)[^\r\n\"']+").sub, rf"\1{REDACTED}"
        ),
    ),
    Rule(
        "bearer token",
        ("bearer",),
        partial(re.compile(r"(?i)(\bbearer[\s:=]+)(?:\[redacted\]|[^\s\"',;<>)}\]]+)").sub, rf"\1{REDACTED}"),
    ),
    Rule(
        "basic authorization",
        ("basic ",),
        partial(
            re.compile(r"\b([Bb]asic|BASIC) +(?=[a-z+/]*[A-Z0-9=])[A-Za-z0-9+/]{4,}={0,2}").sub,
            rf"\1 {REDACTED}",
        ),
    ),
    Rule("name and value", _NAME_MARKERS, _pairs),
    Rule(
        "pair of name and value",
        _NAME_MARKERS,
        partial(
            re.compile(
                r"(?P<before>[(\[]\s*b?(?P<mark>[\"'])(?P<name>[\w.\-]{1,64})(?P=mark),\s*b?)"
                r"(?P<quote>[\"'])(?:(?!(?P=quote))(?:\\.|[^\\]))*(?:(?P=quote)|\Z)",
                re.DOTALL,
            ).sub,
            _pair,
        ),
    ),
    Rule(
        "option and value",
        ("--",),
        partial(re.compile(r"(?P<before>--(?P<name>[\w\-]{1,64})[\s\"',]+)(?!-)[^\s\"',]+").sub, _parameter),
    ),
)


def redact_text(text: str) -> str:
    """The text without the secrets that the rules find in it; the same object when there are none."""
    try:
        if text in _clean:
            return text
        found = _apply(text)
    except Exception:
        return REDACTED
    if found is text and len(text) <= _TEXT_SIZE:
        if len(_clean) >= _MEMORY_SIZE:
            _clean.clear()
        _clean.add(text)
    return found


def _apply(text: str) -> str:
    lower = text.lower()
    result = text
    for rule in RULES:
        for marker in rule.markers:
            if marker in lower:
                result = rule.replace(result)
                break
    return text if result == text else result


def redact_url(url: str) -> str:
    """The address without user information and without secret query parameters."""
    return redact_text(url)


def redact_value(key: str, value: Any) -> Any:
    """The value that may leave under this key; the same object when nothing in it is secret.

    Mappings and sequences are walked; a sequence under a secret name stays a sequence of one text, so that an
    attribute keeps its type.
    """
    try:
        return _value(key, value, 0)
    except Exception:
        return REDACTED


def redact_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes that may leave; the same object when nothing in them is secret."""
    changed: dict[str, Any] | None = None
    try:
        for key, value in attributes.items():
            # Written out for speed: the usual attribute has a known name and a known text or a number.
            if _names.get(key) is False:
                kind = type(value)
                if kind is int or kind is float or kind is bool or (kind is str and value in _clean):
                    continue
            kept = redact_value(key, value)
            if kept is not value:
                if changed is None:
                    changed = dict(attributes)
                changed[key] = kept
    except Exception:
        return {}
    return attributes if changed is None else changed


def _value(key: str, value: Any, depth: int) -> Any:  # noqa: PLR0911 - one return for each kind of value
    if is_secret_name(key):
        return _secret(value)
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        kept = redact_text(text)
        return value if kept is text else kept.encode("latin-1")
    if depth >= _DEPTH:
        return REDACTED
    if isinstance(value, Mapping):
        return _mapping(cast("Mapping[Any, Any]", value), depth + 1)
    if isinstance(value, list | tuple):
        return _sequence(key, cast("Sequence[Any]", value), depth + 1)
    return value


def _secret(value: Any) -> Any:
    # Nothing to hide in these; a flag or an empty text is worth seeing when one looks for a missing password.
    if value is None or isinstance(value, bool) or value in ("", REDACTED):
        return value
    if isinstance(value, tuple):
        return (REDACTED,)
    if isinstance(value, list):
        return [REDACTED]
    return REDACTED


def _mapping(mapping: Mapping[Any, Any], depth: int) -> Mapping[Any, Any]:
    changed: dict[Any, Any] | None = None
    for name, value in mapping.items():
        kept = _value(name if isinstance(name, str) else str(name), value, depth)
        if kept is not value:
            if changed is None:
                changed = dict(mapping)
            changed[name] = kept
    return mapping if changed is None else changed


def _sequence(key: str, values: Sequence[Any], depth: int) -> Sequence[Any]:
    kept = [_value(key, value, depth) for value in values]
    # `--password hunter2` as a list of arguments, and `("x-api-key", "…")` as one of headers.
    for index in range(len(kept) - 1):
        name, value = kept[index], kept[index + 1]
        if isinstance(name, str) and isinstance(value, str) and value and _names_next(name, len(kept)):
            kept[index + 1] = REDACTED
    if all(new is old for new, old in zip(kept, values, strict=True)):
        return values
    return tuple(kept) if isinstance(values, tuple) else kept


def _names_next(text: str, size: int) -> bool:
    """Whether this member of a list is the name of the next one."""
    if text.startswith("-"):
        return "=" not in text and is_secret_name(text)
    return size == 2 and len(text) <= 64 and is_secret_name(text)  # noqa: PLR2004 - a pair
