"""Secrets, each different, and an application's code that puts them wherever an application may put one.

The same secrets follow from a prefix in the application and in the test, so none has to be handed over.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import sqlite3
import string
from typing import Any
from urllib.parse import quote

from opentelemetry import baggage, metrics, trace
from opentelemetry._logs import LogRecord, get_logger
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

LETTERS = string.ascii_letters


class Planted:
    """Secrets by label; asking for a label plants it.

    Args:
        prefix: Makes the secrets of one application differ from another's.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.needles: dict[str, str] = {}

    def _bytes(self, label: str) -> bytes:
        return hashlib.sha256(f"{self._prefix} {label}".encode()).digest()

    def _digits(self, label: str, count: int) -> str:
        return str(int.from_bytes(self._bytes(label), "big"))[:count].rjust(count, "7")

    def _letters(self, label: str, count: int, alphabet: str = LETTERS) -> str:
        digest = hashlib.sha512(f"{self._prefix} {label}".encode()).digest()
        return "".join(alphabet[byte % len(alphabet)] for byte in digest[:count])

    def word(self, label: str) -> str:
        """A password as people choose it."""
        return self._keep(label, f"Zq{self._letters(label, 16)}")

    def _keep(self, label: str, needle: str, whole: str | None = None) -> str:
        self.needles[label] = needle
        return needle if whole is None else whole

    def card(self, label: str) -> str:
        """A Visa number with its check digit."""
        first = f"4539{self._digits(label, 11)}"
        double = [int(sign) for sign in first]
        total = sum(digit if index % 2 else digit * 2 - 9 * (digit > 4) for index, digit in enumerate(double))
        return self._keep(label, f"{first}{-total % 10}")

    def spaced_card(self, label: str) -> str:
        number = self.card(label)
        self.needles[label] = " ".join(number[index : index + 4] for index in range(0, 16, 4))
        return self.needles[label]

    def iban(self, label: str) -> str:
        """A German account."""
        account = self._digits(label, 18)
        check = 98 - int(f"{account}131400") % 97
        return self._keep(label, f"DE{check:02}{account}")

    def email(self, label: str) -> str:
        return self._keep(label, f"zq.{self._letters(label, 12).lower()}@example.org")

    def address(self, label: str) -> str:
        """A public IPv4 address that ends in two different numbers."""
        one, two = self._bytes(label)[:2]
        return self._keep(label, f"81.92.{one}.{two % 154 + 101}")

    def number(self, label: str) -> int:
        return int(self._keep(label, f"8{self._digits(label, 8)}"))

    def provider(self, label: str, prefix: str, count: int, alphabet: str = LETTERS) -> str:
        return self._keep(label, f"{prefix}{self._letters(label, count, alphabet)}")

    def web_token(self, label: str) -> str:
        head = base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=")
        body = base64.urlsafe_b64encode(json.dumps({"sub": self._prefix}).encode()).decode().rstrip("=")
        signature = self._letters(label, 30)
        return self._keep(label, signature, f"{head}.{body}.{signature}")

    def private_key(self, label: str) -> str:
        line = self._letters(label, 48)
        return self._keep(
            label, line, f"-----BEGIN RSA PRIVATE KEY-----\n{line}\n-----END RSA PRIVATE KEY-----"
        )


def incoming(planted: Planted) -> tuple[str, dict[str, str], bytes]:
    """Path with query, headers and body of the one request."""
    word = planted.word
    inner = f"https://shop:{word('in.next.userinfo')}@shop.example/?token={word('in.next.token')}"
    query = (
        f"token={word('in.query.token')}&api_key={word('in.query.api_key')}&page=3"
        f"&email={quote(planted.email('in.query.email'))}&next={quote(inner, safe='')}"
        f"&access%5Ftoken={word('in.query.encoded name')}&X-Amz-Signature={word('in.query.signature')}"
        f"&iban={planted.iban('in.query.iban')}&card={planted.card('in.query.card')}"
    )
    basic = base64.b64encode(f"bob:{word('in.header.basic')}".encode()).decode()
    headers = {
        "Authorization": f"Bearer {word('in.header.authorization')}",
        "Proxy-Authorization": f"Basic {basic}",
        "Cookie": f"sessionid={word('in.header.cookie')}; theme=dark",
        "X-Api-Key": word("in.header.x-api-key"),
        "X-Auth-Token": word("in.header.x-auth-token"),
        "X-Forwarded-For": planted.address("in.header.forwarded"),
        "Referer": f"https://shop.example/login?password={word('in.header.referer')}",
        "X-Debug": f"user={planted.email('in.header.debug')}",
        "baggage": f"session_token={word('in.baggage.token')},customer.email={quote(planted.email('in.baggage.email'))}",
        "Content-Type": "application/json",
    }
    return f"/plant?{query}", headers, json.dumps({"password": word("in.body")}).encode()


def resource(planted: Planted) -> str:
    """What somebody wrote into `OTEL_RESOURCE_ATTRIBUTES`."""
    address = quote(f"postgresql://shop:{planted.word('resource.address')}@db/shop", safe="")
    return f"db.password={planted.word('resource.password')},database.url={address},owner={planted.email('resource.owner')}"


def plant(planted: Planted) -> None:
    """Put secrets into everything that leaves, but for errors."""
    in_spans(planted)
    in_events(planted)
    in_statements(planted)
    in_logs(planted)
    in_metrics(planted)
    in_sentry(planted)


def in_spans(planted: Planted) -> None:
    word = planted.word
    tracer = trace.get_tracer("planting")
    link = Link(
        SpanContext(1, 2, is_remote=True),
        {"password": word("link.password"), "note": f"token={word('link.text')}"},
    )
    encoded = base64.b64encode(f'{{"password": "{word("span.base64")}"}}'.encode()).decode()
    attributes: dict[str, Any] = {
        "password": word("span.password"),
        "PassWord": word("span.spelling"),
        "dbPassword": word("span.camel"),
        "X_API_KEY": word("span.upper"),
        "http.request.header.authorization": [f"Bearer {word('span.header.new')}"],
        "http.request.header.x_secret_key": [word("span.header.old")],
        "http.url": f"https://bob:{word('span.url.old')}@x.example/a?password={word('span.url.old query')}",
        "url.full": f"https://bob:{word('span.url.new')}@x.example/a?api_key={word('span.url.new query')}",
        "url.query": f"secret={word('span.url.query')}&a=1",
        "dsn": f"Server=db;User Id=sa;Password={word('span.connection string')};",
        "json": json.dumps({"user": {"access_token": word("span.json")}}),
        "process.command_args": ["psql", "--password", word("span.arguments"), "-v"],
        "process.command_line": f"backup --token {word('span.command')} --curl -u bob:{word('span.curl')}",
        "body": f"password={word('span.bytes')}&a=1".encode(),
        "encoded": encoded,
        "jwt": planted.web_token("span.jwt by name"),
        "assertion": planted.web_token("span.jwt by shape"),
        "aws": planted.provider("span.aws", "AKIA", 16, string.ascii_uppercase),
        "github": planted.provider("span.github", "ghp_", 36),
        "slack": planted.provider("span.slack", "xoxb-", 24),
        "stripe": planted.provider("span.stripe", "sk_live_", 24),
        "google": planted.provider("span.google", "AIza", 35),
        "openai": planted.provider("span.openai", "sk-proj-", 40),
        "pem": planted.private_key("span.pem"),
        "paid": f"with {planted.card('span.card')} today",
        "paid.spaced": planted.spaced_card("span.card spaced"),
        "paid.number": int(planted.card("span.card number")),
        "account": planted.iban("span.iban"),
        "user.email": planted.email("span.email"),
        "note": f"mail to {planted.email('span.email in text')} now",
        "client.address": planted.address("span.address.new"),
        "http.client_ip": planted.address("span.address.old"),
        "net.peer.ip": planted.address("span.address.peer"),
        "seen": f"blocked {planted.address('span.address in text')} twice",
        "gen_ai.prompt": word("span.prompt"),
        "gen_ai.completion.0.content": word("span.completion"),
        "gen_ai.input.messages": json.dumps([{"role": "user", "content": word("span.messages")}]),
        "gen_ai.system_instructions": word("span.instructions"),
        "gen_ai.tool.call.arguments": word("span.tool"),
        "llm.prompts": word("span.llm.prompts"),
        "traceloop.entity.input": word("span.traceloop"),
        "input.value": word("span.openinference"),
        "db.statement": f"SELECT * FROM users WHERE name = '{word('span.statement.old')}'",
        "db.query.text": f"UPDATE users SET pin = {planted.number('span.statement.new')} WHERE id = 1",
        "db.query.parameter.0": word("span.parameter"),
        "session": word("span.session"),
    }
    attributes |= {name: str(value) for name, value in baggage.get_all().items()}
    name = f"GET /reset?token={word('span.name')}"
    with tracer.start_as_current_span(name, attributes=attributes, links=[link]) as span:
        span.set_status(Status(StatusCode.ERROR, f"refused: password={word('span.status')}"))


def in_events(planted: Planted) -> None:
    word = planted.word
    with trace.get_tracer("planting").start_as_current_span("events") as span:
        span.add_event("login", {"token": word("event.token"), "text": f"Bearer {word('event.text')}"})
        span.add_event("gen_ai.user.message", {"content": word("event.content"), "gen_ai.system": "openai"})
        span.record_exception(ConnectionError(f"cannot reach amqp://mq:{word('event.exception')}@mq/"))
        report = (
            f"failed [SQL: INSERT INTO users VALUES (?)]\n[parameters: ('{word('event.parameters')}',)]\n"
        )
        span.record_exception(ValueError(report))
        detail = f"DETAIL:  Key (name)=({word('event.detail')}) already exists."
        span.record_exception(ValueError(detail))


def in_statements(planted: Planted) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE users (name TEXT, pin INTEGER)")
    connection.execute(
        f"INSERT INTO users VALUES ('{planted.word('sql.text')}', {planted.number('sql.number')})"
    )
    connection.execute(f"SELECT name FROM users WHERE pin IN ({planted.number('sql.list')}, 2)").fetchall()
    connection.close()


def connect(address: str) -> None:
    raise ConnectionError(address)


class Account:
    def __init__(self, password: str) -> None:
        self._password = password

    def __repr__(self) -> str:
        return f"Account(password='{self._password}')"


def in_logs(planted: Planted) -> None:
    word = planted.word
    log = logging.getLogger("planting")
    log.warning("login with password=%s failed", word("log.argument"))
    log.warning(f"cache at redis://:{word('log.address')}@cache:6379/0")  # noqa: G004 - as applications write it
    log.warning("signed in", extra={"api_key": word("log.extra"), "who": planted.email("log.email")})
    log.warning("paid with %s from %s", planted.card("log.card"), planted.iban("log.iban"))
    log.warning("account %r", Account(word("log.repr")))
    log.warning(
        "headers %s", {"Authorization": f"Bearer {word('log.headers')}", "Cookie": f"a={word('log.cookie')}"}
    )
    log.warning("slow: SELECT * FROM users WHERE name = '%s'", word("log.statement"))
    log.warning("called from %s", planted.address("log.address of client"))
    log.warning("key %s", planted.provider("log.github", "ghp_", 36))
    try:
        connect(f"postgresql://shop:{word('log.exception')}@db/shop")
    except ConnectionError:
        log.exception("no database")
    emit = get_logger("planting").emit
    emit(LogRecord(body={"user": {"password": word("log.body")}, "list": [{"token": word("log.body list")}]}))
    emit(LogRecord(body={"content": word("log.genai")}, event_name="gen_ai.user.message"))
    emit(LogRecord(body=f"secret={word('log.bytes')}".encode(), attributes={"session": word("log.session")}))


def in_metrics(planted: Planted) -> None:
    counter = metrics.get_meter("planting").create_counter("planting.logins")
    counter.add(
        1,
        {
            "access_token": planted.word("metric.token"),
            "url": f"https://x/?token={planted.word('metric.url')}",
        },
    )
    counter.add(1, {"who": planted.email("metric.email")})


def in_sentry(planted: Planted) -> None:
    import sentry_sdk

    import otel_kpi

    word = planted.word
    sentry_sdk.set_tag("api_key", word("sentry.tag"))
    sentry_sdk.set_context(
        "vault", {"secret": word("sentry.context"), "deep": {"db": {"password": word("sentry.deep")}}}
    )
    sentry_sdk.set_extra("list", [{"access_token": word("sentry.extra")}])
    sentry_sdk.set_extra("mail", f"sent to {planted.email('sentry.extra text')}")
    sentry_sdk.set_user(
        {"email": planted.email("sentry.user"), "ip_address": planted.address("sentry.address")}
    )
    otel_kpi.add_breadcrumb("login", data={"auth": {"token": word("sentry.crumb")}})
    otel_kpi.add_breadcrumb(f"GET https://x.example/?token={word('sentry.crumb text')}&page=2")
    otel_kpi.capture_message(f"card {planted.card('sentry.message')} declined")


def fail(planted: Planted) -> None:
    """End the request with an error whose local variables, cause and text hold secrets."""
    password = planted.word("error.local")
    settings = {"db": {"password": planted.word("error.nested"), "host": "db.internal"}}
    account = Account(planted.word("error.repr"))
    address = f"https://bob:{planted.word('error.address')}@x.example/"
    statement = f"SELECT * FROM users WHERE name = '{planted.word('error.statement')}'"
    headers = [("x-api-key", planted.word("error.headers"))]
    assert all((password, settings, account, address, statement, headers))
    try:
        connect(f"token={planted.word('error.cause')}")
    except ConnectionError as error:
        raise ValueError(
            f"cannot connect to postgresql://shop:{planted.word('error.text')}@db/ "
            f"with Authorization: Bearer {planted.word('error.bearer')}"
        ) from error
