"""Response times of WSGI applications."""

from __future__ import annotations

import io
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.web import ask_wsgi, environ_of

from otel_kpi.endpoints.wsgi import ResponseTimes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOLD = 0.15


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_KPI_SLOW_REQUEST", "120")


def application(body: Callable[[], Any], kind: str = "text/plain") -> Any:
    def app(_environ: Any, start_response: Any) -> Any:
        start_response("201 Created", [("Content-Type", kind), ("X-Response-Time", "0ms")])
        return body()

    return app


def starter(said: list[Any]) -> Any:
    def start_response(status: str, headers: Any) -> None:
        said.extend((status, headers))

    return start_response


def parts() -> Iterator[bytes]:
    yield b"o"
    time.sleep(TOLD)  # what is measured is that it takes long
    yield b"k"


def slow_lines(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [each for each in caplog.records if each.name == "otel_kpi.slow_requests"]


def test_each_response_says_how_long_it_took(caplog: pytest.LogCaptureFixture) -> None:
    said: list[Any] = []
    response = ResponseTimes(application(lambda: [b"ok"]))(environ_of("/"), starter(said))
    assert len(response) == 1, "a server takes the length of a single part for that of the body"
    assert b"".join(response) == b"ok"
    headers = [(name.lower(), value) for name, value in said[1]]
    [taken] = [value for name, value in headers if name == "x-response-time"]
    assert re.fullmatch(r"\d+\.\d\dms", taken)
    assert next(value for name, value in headers if name == "server-timing").startswith("total;dur=")
    assert slow_lines(caplog) == []


def test_a_stream_is_measured_to_its_last_byte_once(caplog: pytest.LogCaptureFixture) -> None:
    inner = ResponseTimes(application(parts))
    answer = ask_wsgi(ResponseTimes(inner), "/secret/4711")
    assert (answer.status, answer.body) == (201, b"ok")
    [line] = slow_lines(caplog)
    assert (line.method, line.statusCode) == ("GET", "201")
    assert "4711" not in str(vars(line))


def test_a_stream_of_events_may_last(caplog: pytest.LogCaptureFixture) -> None:
    assert ask_wsgi(ResponseTimes(application(parts, "text/event-stream")), "/").body == b"ok"
    assert slow_lines(caplog) == []


def test_an_error_is_the_applications_and_a_500_in_the_line(caplog: pytest.LogCaptureFixture) -> None:
    def boom(_environ: Any, _start_response: Any) -> Any:
        time.sleep(TOLD)  # what is measured is that it takes long
        raise LookupError("no such thing")

    with pytest.raises(LookupError):
        ask_wsgi(ResponseTimes(boom), "/")
    assert [line.statusCode for line in slow_lines(caplog)] == ["500"]


def test_a_response_that_is_closed_half_way_is_closed_and_measured(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return parts()

        def close(self) -> None:
            closed.append(True)

    response = ResponseTimes(application(Body))(environ_of("/"), starter([]))
    assert next(response) == b"o"
    time.sleep(TOLD)  # what is measured is that it takes long
    response.close()
    assert closed == [True]
    assert len(slow_lines(caplog)) == 1


def test_a_file_that_the_server_sends_by_itself_stays_its_own() -> None:
    class Wrapper:
        def __init__(self, file: Any) -> None:
            self.file = file

    environ = environ_of("/") | {"wsgi.file_wrapper": Wrapper}
    wrapped = Wrapper(io.BytesIO(b"ok"))
    assert ResponseTimes(application(lambda: wrapped))(environ, starter([])) is wrapped
