"""Over 200 secrets in three frameworks, in everything that an application can put one into: none leaves.

The applications run under `otel-kpi run`; real receivers of OTLP and of Sentry keep every byte. The same search over
the same applications with redaction switched off finds the secrets: only those count.
"""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pytest
from apps import planting
from apps.planting import Planted
from support import receiver as otlp
from support.children import RUN, environment, free_port, get, running, stop

from tests.unit import sentry_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[1]
COMMANDS = {
    "fastapi": ["uvicorn", "--host", "127.0.0.1", "--port", "{port}", "apps.planted_fastapi:app"],
    "django": ["gunicorn", "--bind", "127.0.0.1:{port}", "apps.planted_django:application"],
    "flask": ["gunicorn", "--bind", "127.0.0.1:{port}", "apps.planted_flask:app"],
}
OFF = {"OTEL_KPI_REDACT_ALLOW": "*", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}


@dataclass
class Keeper(otlp.Receiver):
    """Keeps the bodies, too, and answers what an application asks of it."""

    bodies: list[bytes] = field(default_factory=list[bytes])

    def take(self, path: str, body: bytes) -> None:
        self.bodies.append(body)
        super().take(path, body)


@dataclass(frozen=True)
class Left:
    """What left one application."""

    bodies: tuple[bytes, ...]
    spans: list[otlp.Received]
    logs: list[otlp.Received]
    planted: dict[str, str]

    def found(self) -> list[str]:
        """The labels of the secrets that can be read in it, in whatever way they are written."""
        texts = [view for body in self.bodies for view in views(body)]
        # A number is no text on the wire.
        texts += [
            f"{item.attributes} {item.resource} {item.item}".encode() for item in (*self.spans, *self.logs)
        ]
        return sorted(
            label
            for label, needle in self.planted.items()
            if any(form in text for form in forms(needle) for text in texts)
        )


def forms(needle: str) -> set[bytes]:
    """How a secret may be written: as it is, percent-encoded, in Base64 at each of three places, in hexadecimal."""
    raw = needle.encode()
    encoded = {base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)}
    safe = {form.replace(b"+", b"-").replace(b"/", b"_") for form in encoded}
    bare = re.sub(r"[ \-]", "", needle).encode()
    others = {quote(needle, safe="").encode(), raw[::-1], raw.hex().encode(), bare, *encoded, *safe}
    # A few signs out of the middle of a short one stand anywhere by chance.
    return {raw, *(form for form in others if len(form) > 8)}


def views(body: bytes) -> Iterator[bytes]:
    """The bytes as they came, and as somebody would read them."""
    yield body
    yield unquote(body.decode("latin-1")).encode("latin-1", "replace")
    yield body.replace(b"\0", b"")
    # The other way round of `forms`: what looks encoded is decoded, what looks packed is unpacked.
    runs = (run[: len(run) // 4 * 4] for run in re.findall(rb"[A-Za-z0-9+/_\-]{16,}", body))
    yield b"\n".join(base64.b64decode(run.translate(bytes.maketrans(b"-_", b"+/"))) for run in runs)
    for match in re.finditer(b"\x1f\x8b\x08", body):
        try:
            yield zlib.decompressobj(31).decompress(body[match.start() :])
        except zlib.error:
            continue


def post(url: str, headers: dict[str, str], body: bytes) -> int:
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def what_leaves(framework: str, **extra: str) -> Left:
    planted = Planted(framework)
    target, headers, body = planting.incoming(planted)
    with Keeper() as receiver, sentry_receiver.Receiver() as sentry:
        port = free_port()
        env = environment(
            receiver.url,
            SENTRY_DSN=sentry.dsn,
            OTEL_RESOURCE_ATTRIBUTES=planting.resource(planted),
            OTEL_SEMCONV_STABILITY_OPT_IN="http/dup,database/dup",
            OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST=".*",
            OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE=".*",
            OTEL_METRIC_EXPORT_INTERVAL="500",
            **extra,
        )
        command = [word.format(port=port) for word in COMMANDS[framework]]
        with running([*RUN, *command], env, TESTS) as process:
            url = f"http://127.0.0.1:{port}"
            assert get(f"{url}/nowhere") == 404
            assert post(url + target, headers, body) == 200
            assert post(f"{url}/fail", headers, body) == 500
            sentry.wait(lambda arrived: len(arrived.events) >= 2, 20.0)
            receiver.wait_for(lambda arrived: arrived.points and arrived.spans and arrived.logs)
            stop(process)
        envelopes = list(sentry.bodies)
        bodies = (*receiver.bodies, *envelopes)
    # The application's own secrets, by the same code that it ran.
    for work in (
        planting.in_spans,
        planting.in_events,
        planting.in_statements,
        planting.in_logs,
        planting.in_metrics,
    ):
        work(planted)
    _labels_only(planted)
    return Left(bodies, receiver.spans, receiver.logs, planted.needles)


def _labels_only(planted: Planted) -> None:
    import sentry_sdk

    with sentry_sdk.isolation_scope():
        planting.in_sentry(planted)
    with pytest.raises(ValueError, match="cannot connect"):
        planting.fail(planted)
    for label in ("client.userinfo", "client.query", "client.header", "answer.cookie", "django.statement"):
        planted.word(label)


def test_search_finds_a_secret_however_it_is_written() -> None:
    import gzip

    needle = "ZqAbCdEfGhIjKlMnOp"
    for body in (
        needle.encode(),
        b"x=" + base64.b64encode(f"ab{needle}cd".encode()),
        base64.b64encode(f"a{needle}".encode()),
        quote(f"token={needle}&").encode(),
        b"head" + gzip.compress(f"token={needle}".encode()),
        needle.encode("utf-16-le"),
        needle.encode().hex().encode(),
    ):
        assert Left((body,), [], [], {"a": needle}).found() == ["a"]
    assert Left((b"nothing in here",), [], [], {"a": needle}).found() == []


@pytest.mark.parametrize("framework", COMMANDS)
def test_no_planted_secret_leaves(framework: str) -> None:
    left = what_leaves(framework)
    assert left.found() == []
    # Something left all the same, and it is still of use.
    assert "events" in {span.item.name for span in left.spans}
    everything = b"\n".join(left.bodies)
    for useful in (
        b"page=3",
        b"x.example",
        b"db.internal",
        b"planting",
        b"INSERT INTO users VALUES",
        b"signed in",
    ):
        assert useful in everything


def test_same_search_finds_the_secrets_when_redaction_is_off() -> None:
    """Without this the test above would also pass if nothing were sent, or nothing were found."""
    left = what_leaves("fastapi", **OFF)
    assert len(left.found()) >= 100, sorted(set(left.planted) - set(left.found()))


@pytest.mark.proof
def test_over_200_secrets_leave_when_redaction_is_off() -> None:
    found = {framework: what_leaves(framework, **OFF).found() for framework in COMMANDS}
    assert sum(len(labels) for labels in found.values()) >= 200, found
