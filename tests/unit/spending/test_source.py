"""What `otel-kpi cost` says when what answers is no Prometheus, or nobody does."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support.children import free_port

from otel_kpi.cli import main

if TYPE_CHECKING:
    from collections.abc import Generator
    from email.message import Message


@contextmanager
def answering(status: int, body: str) -> Generator[tuple[str, list[Message]]]:
    """A server that says the same to everybody, and the headers that it was sent."""
    asked: list[Message] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.headers)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the name that it has

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 1) -> str:
    assert main(["cost", *arguments]) == status
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    return errors


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert (
        said(capsys, "--prometheus", url)
        == f"otel-kpi cost: no Prometheus answers at {url}: Connection refused\n"
    )


@pytest.mark.parametrize(
    "body",
    ["<html>welcome</html>", "[]", '{"status": "success"}', "\xff", '{"status": "success", "data": null}'],
)
def test_something_else_answers(capsys: pytest.CaptureFixture[str], body: str) -> None:
    with answering(200, body) as (address, _):
        text = said(capsys, "--prometheus", f"http://{address}")
    assert f"what answers at http://{address} is no Prometheus: status 200" in text


def test_prometheus_refuses_and_its_words_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"status": "error", "errorType": "timeout", "error": "query timed out"})
    with answering(503, body) as (address, _):
        text = said(capsys, "--prometheus", address)
    assert (
        text
        == f"otel-kpi cost: Prometheus at http://{address} refused a question (timeout: query timed out)\n"
    )


def test_a_user_and_a_path_in_the_address_are_used_and_the_password_is_not_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with answering(401, "no") as (address, asked):
        text = said(capsys, "--prometheus", f"http://reader:secret@{address}/metrics/")
    assert asked[0]["Authorization"] == "Basic cmVhZGVyOnNlY3JldA=="
    assert "secret" not in text
    assert f"http://{address}/metrics is no Prometheus: status 401" in text


@pytest.mark.parametrize("url", ["ftp://localhost", "http://", "//"])
def test_no_address(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert "is no address of a Prometheus: http://localhost:9090 is one" in said(capsys, "--prometheus", url)


def test_a_question_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--by takes model, tenant, feature" in said(capsys, "--by", "model,colour", status=2)
    assert "'soon' is no time" in said(capsys, "--since", "soon", status=2)
    assert "--on is a whole day or month" in said(capsys, "--on", "today", "--since", "1h", status=2)


def test_nothing_is_known_and_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}})
    with answering(200, body) as (address, _):
        assert main(["cost", "--prometheus", address]) == 0
        assert "Nothing: no call, no token and no cost is known of this time." in capsys.readouterr().out
        assert main(["cost", "--prometheus", address, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["rows"] == []
