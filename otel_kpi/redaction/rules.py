"""What is looked for in a text, and the cheap questions that are asked first.

A pattern costs a hundred times what a substring costs, and nearly every text is clean. So each group of rules stands
behind a question that every text with such a secret answers with yes: is there an `@`, are there twelve digits, is
there a run of letters long enough for a key, is there a word that can make a name secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from otel_kpi.redaction import shapes, statements
from otel_kpi.redaction.shapes import REDACTED

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to look for in a text.

    Attributes:
        name: What is found, for a person.
        replace: Returns the text without what was found. When it raises, the whole text is replaced.
        action: What becomes of it: `replaced`, `hashed` or `shortened`.
        markers: Lower-case pieces, one of which is in every text that the rule can change; for a rule of the
            user's. Without markers it is asked for every text.
    """

    name: str
    replace: Callable[[str], str]
    action: str = "replaced"
    markers: tuple[str, ...] = ()


# A name and what stands between it and its value: its quotes (also escaped ones), an annotation of source code,
# and `=` or `:`. Only behind a secret's name is the value looked for, so that a text inside another one's value
# (`ValueError: password=…`, `message="token=…"`) is looked at too, and each character is looked at once.
_NAME_BEFORE_VALUE = re.compile(
    r"(?<![\w.\-%])(?P<name>[\w.\-%]{1,128})(?:\[\w{0,64}\])?\]?(?:\\*[\"'])?\]?\s*"
    r"(?::\s*[A-Za-z_][\w.\[\]| ]{0,63}=(?!=)|[:=\uff1a\uff1d]{1,2}>?)(?:\s|\\+[nrt](?![\w:]))*(?:[befnru]{1,2}(?=\\*[\"']))?",
    re.IGNORECASE,
)
# The value: quoted with escapes, quoted and cut off, a block of YAML, what stands in brackets, or a bare word with the
# scheme before it and what a constructor was given behind it (`SecretStr('…')`).
_VALUE = re.compile(
    r"(?P<quote>\\*[\"'])(?:(?:(?!(?P=quote))(?:\\.|[^\\]))*)(?:(?P=quote)|\Z)"
    r"|[|>][+\-]?[ \t]*\n(?:[ \t]+[^\n]*(?:\n|\Z))+"
    r"|[|>][+\-]?[ \t]*\\+n[^\"']*"
    r"|\{[^{}]{1,4096}\}|\[[^\[\]]{1,4096}\]"
    r"|(?:(?:basic|bearer|digest|negotiate|token|apikey)\s+)?"
    r"(?:\[redacted\]|[^\s,;&\"'<>(){}\[\]]+(?:\([\"'][^()\n]{0,1024}\))?)",
    re.IGNORECASE | re.DOTALL,
)
_QUERY = re.compile(r"(?P<before>[?&;](?P<name>[\w.\-\[\]%]{1,128})=)[^\s&;#'\"<>]+")
_OPTION = re.compile(r"(?P<before>(?<![\w\-])--(?P<name>\w[\w\-]{0,63})[\s\"',]+)(?!-)[^\s\"',]+")
_TUPLE = re.compile(
    r"(?P<before>[(\[]\s*b?(?P<mark>[\"'])(?P<name>[\w.\-]{1,64})(?P=mark),\s*b?)"
    r"(?P<quote>[\"'])(?:(?!(?P=quote))(?:\\.|[^\\]))*(?:(?P=quote)|\Z)",
    re.DOTALL,
)
_ELEMENT = re.compile(r"(?P<before><(?P<name>[\w:.\-]{1,64})(?:\s[^<>]{0,256})?>)[^<]+(?=</)")
_QUOTED = re.compile(
    r"(?P<before>(?<![\w.\-])(?P<name>[\w\-]{3,64})\s+)(?P<quote>[\"'])(?:(?!(?P=quote))[^\n])+(?P=quote)"
)
# `{"name": "DB_PASSWORD", "value": "…"}` of Kubernetes, HAR and tools of build servers, `<add key="…" value="…"/>`.
_NAMED_VALUE = re.compile(
    r"(?P<before>\b(?:name|key|id|type)\\*[\"']?\s*[:=]\s*\\*[\"']?(?P<name>[\w.\-]{1,64})\\*[\"']?[\s,]+"
    r"(?:\w{1,32}=\\*[\"']?[\w.\-]{0,64}\\*[\"']?\s+)?\\*[\"']?value\\*[\"']?\s*[:=]\s*)"
    r"(?:(?P<quote>\\*[\"'])(?:(?!(?P=quote))(?:\\.|[^\\]))*(?:(?P=quote)|\Z)|[^\s,;&\"'<>(){}\[\]]+)",
    re.IGNORECASE | re.DOTALL,
)
# There is nothing to hide in these, and they are what one looks for when a password is missing.
_NOTHING = frozenset({"none", "null", "nil", "true", "false"})
_SENTENCES = frozenset({"session", "auth", "token", "cookie", "bearer"})
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

CUT_USER_INFORMATION = Rule(
    # A length limit cut the address off before its `@`.
    "user information in an address that was cut off",
    partial(
        re.compile(
            r"(://)[^\s/?#@:'\"<>\[\]{}()]{1,256}:(?!\d{0,5}\Z|port\Z)[^\s/?#@'\"<>\[\]{}()]{1,512}\Z"
        ).sub,
        rf"\1{REDACTED}",
    ),
)
USER_INFORMATION = Rule(
    "user information in an address",
    # A password may hold `@` and `/` unescaped; a port followed by a path must not be taken for one.
    partial(
        re.compile(
            r"(://)(?:[^\s/?#'\"<>]{0,1024}@|[^\s/:@'\"<>]{0,256}:(?!\d+[/?#])[^\s@'\"<>]{1,512}@)"
        ).sub,
        rf"\1{REDACTED}@",
    ),
)
ORACLE_USER = Rule(
    "user and password of an Oracle address",
    partial(re.compile(r"(:(?:thin|oci):)[^\s/@]{1,128}/[^\s@]{1,512}@").sub, rf"\1{REDACTED}@"),
)
PRIVATE_KEY = Rule(
    "private key",
    partial(
        re.compile(
            r"-----BEGIN (?P<kind>[A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?)-----.*?(?:-----END (?P=kind)-----|\Z)"
            r"|\bPrivate-Lines:.*?(?=Private-MAC:|\Z)",
            re.DOTALL,
        ).sub,
        REDACTED,
    ),
)
COOKIE = Rule(
    "cookie header",
    partial(
        re.compile(r"(?i)(\bcookie2?[\"']?\s*[:=]\s*+(?![\[{(])[\"']?)[^\r\n\"']+").sub, rf"\1{REDACTED}"
    ),
)
AUTHORIZATION = Rule(
    # Schemes of several parts, which go to the end of their line.
    "authorization header",
    partial(
        re.compile(
            r"(?i)(\bauthorization[\"']?\s*[:=]\s*[\"']?)(?:aws4-[\w\-]{1,32}|digest|oauth|hawk|signature)\s[^\r\n]+"
        ).sub,
        rf"\1{REDACTED}",
    ),
)
BEARER = Rule(
    "bearer token",
    partial(re.compile(r"(?i)(\bbearer[\s:=]+)(?:\[redacted\]|[^\s\"',;<>)}\]]+)").sub, rf"\1{REDACTED}"),
)
COMMAND_PASSWORD = Rule(
    # Options of one letter mean a password with these commands alone.
    "password of a command",
    partial(
        re.compile(
            r"((?:\bredis-cli\b[^\n]{0,200}?\s-a|\b(?:sshpass|(?:docker|podman)\s+login)\b[^\n]{0,200}?\s-p)[ =]*"
            r"|\b(?:mysql(?:dump|admin)?|mariadb)\b[^\n]{0,200}?\s-p|\bsqlplus\s+[^\s/@]{1,64}/"
            r"|\s-pass(?:in|out)\s+pass:|\bmachine\s\S{1,256}\s+login\s+\S{1,128}\s+password\s+)[^\s'\"@]+"
        ).sub,
        rf"\1{REDACTED}",
    ),
)
BASIC = Rule(
    "basic authorization",
    partial(
        re.compile(r"\b([Bb]asic|BASIC) +(?=[a-z+/]*[A-Z0-9=])[A-Za-z0-9+/]{4,}={0,2}").sub, rf"\1 {REDACTED}"
    ),
)
COMMAND_USER = Rule(
    "user and password of a command",
    partial(
        re.compile(r"((?:\A|\s)(?:-u|--user|--proxy-user)[ =]+[^\s:'\"]{1,128}:)[^\s'\"]+").sub,
        rf"\1{REDACTED}",
    ),
)
WEB_TOKEN = Rule("JSON web token", shapes.without_web_tokens)
PROVIDER_TOKEN = Rule("key or token of a provider", shapes.without_tokens)
CARD = Rule("payment card number", shapes.without_cards)
IBAN = Rule("bank account number", shapes.without_ibans)
STATEMENT = Rule("literals of a database statement", statements.statements_in)
REPORT = Rule("values in a database's message", statements.values_in_reports)


def name_rules(is_secret: Callable[[str], bool]) -> tuple[Rule, ...]:  # noqa: C901 - one function for each rule
    """The rules that look for a value behind a secret's name.

    Args:
        is_secret: Whether a name is a secret's.
    """

    def pairs(text: str) -> str:
        pieces: list[str] = []
        done = position = 0
        while (found := _NAME_BEFORE_VALUE.search(text, position)) is not None:
            value = (
                _VALUE.match(text, found.end())
                if is_secret(found["name"]) or found["name"] == "PWD"
                else None
            )
            # In a shell `PWD` is where one is; in a connection string it is a password.
            if (
                value is None
                or value[0].lower() in _NOTHING
                or (found["name"] == "PWD" and value[0].lstrip("\"'").startswith(("/", "~")))
            ):
                position = found.end("name")
                continue
            quote = value["quote"] or ""
            # An unfinished quotation has no closing quote to give back.
            closing = quote if value[0].endswith(quote) else ""
            pieces += (text[done : found.end()], quote, REDACTED, closing)
            done = position = value.end()
        return "".join((*pieces, text[done:])) if pieces else text

    def in_tuple(match: re.Match[str]) -> str:
        if not is_secret(match["name"]):
            return match[0]
        quote = match["quote"] or ""
        return f"{match['before']}{quote}{REDACTED}{quote if match[0].endswith(quote) else ''}"

    def in_quotes(match: re.Match[str]) -> str:
        # `the session 'abc' ended` is a sentence; `with PASSWORD 'abc'` is a password.
        if match["name"].lower() in _SENTENCES or not is_secret(match["name"]):
            return match[0]
        return f"{match['before']}{match['quote']}{REDACTED}{match['quote']}"

    def parameter(match: re.Match[str]) -> str:
        name = match["name"]
        # The code of OAuth is as good as a password; `?code=404` alone is something else.
        found = (
            name.lower() in _SIGNATURES or is_secret(name) or (name == "code" and "state=" in match.string)
        )
        return f"{match['before']}{REDACTED}" if found else match[0]

    def named_value(match: re.Match[str]) -> str:
        if not is_secret(match["name"]):
            return match[0]
        quote = match["quote"] or ""
        return f"{match['before']}{quote}{REDACTED}{quote if match[0].endswith(quote) else ''}"

    return (
        Rule("query parameter", partial(_QUERY.sub, parameter)),
        COOKIE,
        AUTHORIZATION,
        BEARER,
        Rule("name and value", pairs),
        Rule("named value", partial(_NAMED_VALUE.sub, named_value)),
        Rule("pair of name and value", partial(_TUPLE.sub, in_tuple)),
        Rule("option and value", partial(_OPTION.sub, parameter)),
        Rule("element and text", partial(_ELEMENT.sub, parameter)),
        Rule("name and quoted text", partial(_QUOTED.sub, in_quotes)),
    )
