"""Keeps the traces of failed tests where `otel-kpi view` shows them: `pytest --otel-kpi`.

What a test recorded goes with its report, as OTLP: with pytest-xdist from the process that ran the test to the one that
writes. Nothing is kept of tests that passed.
"""

from __future__ import annotations

import base64
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from otel_kpi.dev.telemetry import Group, Link, Request, Resource, Scope, Span
from otel_kpi.testing import listening
from otel_kpi.testing.capturing import Capture

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from otel_kpi.dev.telemetry import Attributes, Event, Signal, Value

_MOST_ITEMS: Final = 5_000
"""Spans and log records of a test that are kept."""
_MOST_TESTS: Final = 200
_SHOWN: Final = 10
_LONGEST: Final = 20_000
_REPORTED: Final = "otel_kpi_kept"


@dataclass(slots=True)
class _Running:
    """A test that is running."""

    capture: Capture
    start_ns: int
    failure: str = ""
    message: str = ""


class Keeper:
    """Hears each test, and writes what those that failed have recorded.

    Args:
        config: Of this run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._running: dict[str, _Running] = {}
        self._kept: list[dict[str, Any]] = []
        self._failed = 0
        self._written: list[tuple[str, str]] = []
        self._problem = ""
        self._where = ""

    # --- where the test runs

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        if not self._is_controller_of_others():
            capture = Capture()
            listening.attend()
            capture.listen()
            self._running[nodeid] = _Running(capture, time.time_ns())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Remember how it failed; after its last phase, what it recorded goes with the report."""
        report = yield
        running = self._running.get(item.nodeid)
        if running is not None:
            if report.failed and not running.failure:
                failed = call.excinfo
                running.failure = failed.typename if failed is not None else "failed"
                running.message = str(failed.value)[:_LONGEST] if failed is not None else ""
            if report.when == "teardown":
                self._end(report, running)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what was kept; in the process that writes."""
        kept = getattr(report, _REPORTED, None)
        if kept is not None and self._writes():
            self._failed += 1
            if len(self._kept) < _MOST_TESTS:
                self._kept.append(kept)

    def _end(self, report: pytest.TestReport, running: _Running) -> None:
        del self._running[report.nodeid]
        running.capture.end()
        if running.failure:
            try:
                setattr(report, _REPORTED, _payload(report, running))
            except Exception as error:
                self._problem = f"what {report.nodeid} recorded cannot be kept: {error!r}"

    # --- where it is written

    def pytest_sessionfinish(self) -> None:
        """Write what was kept."""
        if not self._kept:
            return
        try:
            self._where = self._write([request for kept in self._kept for request in self._requests(kept)])
        except Exception as error:
            self._problem = str(error) or repr(error)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say where it is."""
        if self._problem or self._where:
            terminalreporter.section("otel-kpi")
        if self._problem:
            terminalreporter.line(f"traces of failed tests are not kept: {self._problem}")
        if self._where:
            terminalreporter.line(f"traces of failed tests: {self._where}")
            for nodeid, trace_id in self._written[:_SHOWN]:
                terminalreporter.line(f"  /traces/{trace_id} {nodeid}")
            if self._failed > len(self._written[:_SHOWN]):
                terminalreporter.line(f"  … {self._failed - len(self._written[:_SHOWN])} more")

    def _writes(self) -> bool:
        return not hasattr(self._config, "workerinput")

    def _is_controller_of_others(self) -> bool:
        return self._writes() and bool(getattr(self._config.option, "dist", "no") != "no")

    def _requests(self, kept: Mapping[str, Any]) -> Iterable[Request[Any]]:
        from otel_kpi.dev.wire.protobuf import decode

        case = _attributes({"test.case.name": kept["nodeid"]})
        requests: list[Request[Any]] = []
        for signal, body in kept["bodies"]:
            request: Request[Any] = decode(signal, base64.b64decode(body))
            for group in request.groups:
                # What is decoded is shared between requests.
                resource = group.resource
                group.resource = Resource(
                    (*resource.attributes, *case), resource.schema_url, resource.service
                )
            requests.append(request)
        own = _own_span(kept, requests)
        self._written.append((kept["nodeid"], own.trace_id.hex()))
        resource = Resource(_attributes({"service.name": "pytest"}), service="pytest")
        return [*requests, Request("traces", [Group(resource, Scope("otel_kpi.testing"), [own])])]

    def _write(self, requests: list[Request[Any]]) -> str:
        from otel_kpi.dev.store import Store
        from otel_kpi.dev.store.files import StoreError
        from otel_kpi.dev.stores import DEFAULT, FOLDER, prepare

        root = self._config.rootpath
        given = self._config.getoption("otel_kpi_store")
        path = Path(given).absolute() if given else root / DEFAULT
        if not given:
            prepare(root / FOLDER)
        try:
            store = Store(path)
        except StoreError as error:
            address = _address_of_holder(path)
            if not address:
                raise
            try:
                _send(address, requests)
            except OSError as refused:
                raise StoreError(f"{error}; {address} did not take them: {refused}") from refused
            return f"{address}/traces?service=pytest"
        try:
            store.write(requests)
        finally:
            store.close()
        shown = os.path.relpath(path)
        return f"otel-kpi view {shown}, then /traces?service=pytest"


def _payload(report: pytest.TestReport, running: _Running) -> dict[str, Any]:
    """What goes with a report: what execnet and JSON can carry."""
    from otel_kpi.sdk.otlp import Encoding, encode_logs, encode_spans

    spans, logs = running.capture.raw()
    bodies: list[tuple[Signal, str]] = []
    if spans:
        body = encode_spans(spans[:_MOST_ITEMS], Encoding.PROTOBUF).body
        bodies.append(("traces", base64.b64encode(body).decode()))
    if logs:
        body = encode_logs(logs[:_MOST_ITEMS], Encoding.PROTOBUF).body
        bodies.append(("logs", base64.b64encode(body).decode()))
    return {
        "nodeid": report.nodeid,
        "start_ns": running.start_ns,
        "end_ns": time.time_ns(),
        "failure": running.failure,
        "message": running.message,
        "left_out": max(0, len(spans) - _MOST_ITEMS),
        "bodies": bodies,
    }


def _own_span(kept: Mapping[str, Any], requests: list[Request[Any]]) -> Span:
    """A trace of the test's own that leads to those it made: they stay what they are without pytest."""
    traces = dict.fromkeys(
        span.trace_id
        for request in requests
        if request.signal == "traces"
        for group in request.groups
        for span in group.items
    )
    roots = {
        span.trace_id: span.span_id
        for request in requests if request.signal == "traces"
        for group in request.groups for span in group.items if not span.parent_id
    }  # fmt: skip
    message = _clean(kept["message"])
    return Span(
        trace_id=secrets.token_bytes(16),
        span_id=secrets.token_bytes(8),
        parent_id=b"",
        name=f"test {kept['nodeid']}",
        kind=1,
        start_ns=kept["start_ns"],
        end_ns=kept["end_ns"],
        attributes=_attributes(
            {
                "test.case.name": kept["nodeid"],
                "test.case.result.status": "fail",
                "error.type": kept["failure"],
                "otel_kpi.testing.spans.left_out": kept["left_out"] or None,
            }
        ),
        events=[_exception(kept["failure"], message, kept["end_ns"])],
        links=[Link(trace_id, roots.get(trace_id, bytes(7) + b"\1")) for trace_id in list(traces)[:127]],
        status=2,
        status_message=message.partition("\n")[0],
    )


def _exception(kind: str, message: str, time_ns: int) -> Event:
    from otel_kpi.dev.telemetry import Event

    return Event("exception", time_ns, _attributes({"exception.type": kind, "exception.message": message}))


def _clean(text: str) -> str:
    """Without secrets, as everything that is kept."""
    from otel_kpi import redaction

    return redaction.active().of_spans.text(text)


def _attributes(values: Mapping[str, Value]) -> Attributes:
    from otel_kpi.dev.wire.values import attribute

    return tuple(attribute(key, value) for key, value in values.items() if value is not None)


def _address_of_holder(path: Path) -> str:
    """Where the `otel-kpi dev` listens that has this store open; empty where it does not say."""
    try:
        said = path.with_name(f"{path.name}-lock").read_text(errors="replace")
    except OSError:
        return ""
    address = said.strip().rpartition(", ")[2]
    return address if address.startswith("http://127.0.0.1:") else ""


def _send(address: str, requests: list[Request[Any]]) -> None:
    from urllib.request import ProxyHandler, build_opener
    from urllib.request import Request as HttpRequest

    from otel_kpi.dev.wire.otlp_json import encode

    opener = build_opener(ProxyHandler({}))  # no proxy leads to this machine
    for request in requests:
        url = f"{address}/v1/{request.signal}"
        sent = HttpRequest(url, encode(request), {"Content-Type": "application/json"})  # noqa: S310 - of this machine
        with opener.open(sent, timeout=10):
            pass
