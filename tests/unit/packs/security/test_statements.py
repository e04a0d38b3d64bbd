"""What an application says itself: names, labels, budgets, and nothing that is an address."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import logging
import sys
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import _logs
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from support.children import environment, run
from support.measured import Measured, measured
from support.written import written

from otel_kpi import security
from otel_kpi.packs.security import attempts, clients, events, instruments, words
from otel_kpi.packs.security.clients import Clients
from otel_kpi.packs.security.events import Allowance
from otel_kpi.packs.security.origin import Origin, hops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANY = 100_000
SECURED = "kpi_security_secured_request_duration_seconds"


@pytest.fixture
def series() -> Iterator[Measured]:
    words._warned.clear()
    with measured() as found:
        yield found


def total(series: Measured, name: str) -> int:
    return sum(point.value for point in series.points(name).values())


def test_known_kinds_are_zero_before_the_first_attempt(series: Measured) -> None:
    """`rate(…[1m]) > 0` sees no series that begins at 1."""
    values = {
        labels[0][1]: point.value
        for labels, point in series.points("kpi_security_intrusion_attempts_total").items()
    }
    assert values == dict.fromkeys(instruments.KINDS, 0)
    security.intrusion("scanning")
    assert series.value("kpi_security_intrusion_attempts_total", kpi_security_intrusion_kind="scanning") == 1


def test_failures_of_django_are_none_where_django_serves_nothing(series: Measured) -> None:
    """That instrument begins with its instrumentor: no data is not zero."""
    security.authentication("jwt", False, "expired")
    assert not any(point.value for point in series.points("django_auth_failures_total").values())


def test_failure_within_a_request_of_djangos_has_both_names(series: Measured) -> None:
    attempt, token = attempts.begin(Origin("203.0.113.77", django=True))
    security.authentication("jwt", False, "expired")
    attempts.end(attempt, token, 401)
    assert series.value("django_auth_failures_total", reason="expired") == 1
    assert (
        series.value(
            "kpi_security_auth_attempts_total",
            kpi_security_auth_scheme="jwt",
            kpi_security_auth_result="failure",
            kpi_security_auth_reason="expired",
        )
        == 1
    )


def test_success_has_no_reason(series: Measured) -> None:
    security.authentication("api_key", True)
    assert series.labels("kpi_security_auth_attempts_total") == {
        (("kpi_security_auth_result", "success"), ("kpi_security_auth_scheme", "api_key"))
    }


def test_reason_that_is_none_of_the_ten_is_other(series: Measured, caplog: pytest.LogCaptureFixture) -> None:
    security.authentication("jwt", False, "the token of user 4711 is too old")
    [labels] = series.labels("kpi_security_auth_attempts_total")
    assert dict(labels)["kpi_security_auth_reason"] == "other"
    assert len(caplog.records) == 1


def test_both_results_of_a_limit_begin_at_zero(series: Measured) -> None:
    security.rate_limited("login", allowed=True)
    name = "kpi_security_rate_limit_requests_total"
    policy = {"kpi_security_rate_limit_policy": "login"}
    assert series.value(name, kpi_security_rate_limit_result="allowed", **policy) == 1
    assert series.value(name, kpi_security_rate_limit_result="limited", **policy) == 0


def test_sanitizations_are_values(series: Measured) -> None:
    security.sanitized("html", 3)
    security.sanitized("Control characters")
    name = "kpi_security_sanitizations_total"
    assert series.value(name, kpi_security_sanitization_kind="html") == 3
    assert series.value(name, kpi_security_sanitization_kind="control_characters") == 1


# --- addresses


@pytest.mark.parametrize(
    "address",
    [
        "203.0.113.77", "from 203.0.113.77:443", "2001:db8::1", "::1", "2001:db8:85a3:0:0:8a2e:370:7334", "a@b.example",
        "refused 203.0.113.77.", "client203.0.113.77", "_203.0.113.77_", "203.0.113.77s",
    ],
)  # fmt: skip
def test_address_is_no_label_wherever_it_is_put(
    series: Measured, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    security.intrusion(address)
    security.authentication(address, False, address)
    security.rate_limited(address, allowed=False)
    security.sanitized(address)
    security.suspicious(address, address)
    with security.secured_request(address):
        pass
    data = series.reader.get_metrics_data()
    assert data is not None
    assert "otel_kpi" in data.to_json()
    assert address not in data.to_json()
    assert all(address not in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "name",
    [
        "5 per 1 minute",
        "10/m",
        "GET /orders/{id}",
        "v1.2.3",
        "v1.2.3.4",
        "1.2.3.4.5",
        "orders:create",
        "8.30",
    ],
)
def test_name_that_is_no_address_is_a_label(series: Measured, name: str) -> None:
    security.rate_limited(name, allowed=True)
    labels = {
        dict(each)["kpi_security_rate_limit_policy"]
        for each in series.labels("kpi_security_rate_limit_requests_total")
    }
    assert labels == {name}  # fmt: skip


# --- a hundred thousand of everything


HELPERS: dict[str, tuple[Callable[[str], None], str, int]] = {
    "kinds": (security.intrusion, "kpi_security_intrusion_attempts_total", 20),
    "schemes": (lambda name: security.authentication(name, True), "kpi_security_auth_attempts_total", 15),
    "reasons": (
        lambda name: security.authentication("jwt", False, name),
        "kpi_security_auth_attempts_total",
        0,
    ),
    "policies": (
        lambda name: security.rate_limited(name, allowed=True),
        "kpi_security_rate_limit_requests_total",
        40,
    ),
    "sanitizations": (security.sanitized, "kpi_security_sanitizations_total", 20),
    "suspicions": (
        lambda name: security.suspicious("client", name),
        "kpi_security_suspicions_total",
        20,
    ),
}


@pytest.mark.parametrize(
    "what", ["kinds", *(pytest.param(what, marks=pytest.mark.proof) for what in HELPERS if what != "kinds")]
)
def test_hundred_thousand_names_stay_within_the_budget_and_say_so_once(
    series: Measured, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    helper, name, most = HELPERS[what]
    caplog.set_level(logging.WARNING)
    for number in range(MANY):
        helper(f"id{number}")
    assert total(series, name) == MANY
    others = {labels for labels in series.labels(name) if any(value == "other" for _, value in labels)}
    assert others
    assert len(series.labels(name) - others) <= most
    assert total(series, "otel_kpi_overflowed_values_total") > 0
    lines = [record for record in caplog.records if "events" not in record.getMessage()]
    assert len(lines) == 1


@pytest.mark.proof
def test_hundred_thousand_operations_stay_within_the_budget(
    series: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(MANY):
        with security.secured_request(f"orders.{number}"):
            pass
    points = series.points(SECURED)
    assert sum(point.count for point in points.values()) == MANY
    assert len(points) == 41
    assert len(caplog.records) == 1


def test_hundred_thousand_suspicious_clients_are_counted_up_to_the_bound(
    series: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    clients._clients.clear()
    assert series.value("kpi_security_suspicious_clients") is None, "nobody looked: it is not known"
    addresses = ipaddress.ip_network("10.0.0.0/8")
    for number in range(MANY):
        security.suspicious(addresses[number], "honeypot")
    assert series.value("kpi_security_suspicious_clients") == 10_000
    assert series.value("kpi_security_suspicious_clients_uncounted_total") == MANY - 10_000
    assert total(series, "kpi_security_suspicions_total") == MANY
    assert sum("not told apart" in record.getMessage() for record in caplog.records) == 1
    clients._clients.clear()


def test_client_is_forgotten_an_hour_after_it_was_last_seen() -> None:
    now = 0.0
    few = Clients(most=2, seconds=3600, clock=lambda: now)
    assert few.see("a")
    now = 1800.0
    assert few.see("b")
    assert few.see("a")
    assert not few.see("c")
    now = 5400.0
    assert len(few) == 0
    assert few.see("c")
    assert len(few) == 1


def test_forked_child_begins_without_its_parents_clients() -> None:
    code = (
        "import os\nfrom otel_kpi import security\nfrom otel_kpi.packs.security import clients\n"
        "security.suspicious('203.0.113.77', 'honeypot')\nchild = os.fork()\n"
        "print(len(clients._clients), flush=True)\n"
        "child and os.wait()"
    )
    ended = run([sys.executable, "-c", code], environment())
    assert (sorted(ended.stdout.split()), ended.stderr) == (["0", "1"], "")


def test_events_are_a_hundred_a_second_after_a_thousand() -> None:
    now = 0.0
    allowance = Allowance(1000, 100, clock=lambda: now)
    assert sum(allowance.take() for _ in range(5000)) == 1000
    now = 2.5
    assert sum(allowance.take() for _ in range(5000)) == 250


# --- secured requests


class RefusedError(Exception):
    status_code = 403


class PermissionDenied(Exception):  # noqa: N818 - as Django calls it
    pass


class TeapotError(Exception):
    status_code = 418


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (PermissionError(), "denied"),
        (RefusedError(), "denied"),
        (PermissionDenied(), "denied"),
        (TeapotError(), "error"),
        (ValueError(), "error"),
        (KeyboardInterrupt(), "cancellation"),
        (asyncio.CancelledError(), "cancellation"),
        (SystemExit(), "cancellation"),
    ],
    ids=written,
)
def test_secured_request_ends_as_its_exception_says(
    series: Measured, error: BaseException, result: str
) -> None:
    with pytest.raises(type(error)), security.secured_request("orders.create"):
        raise error
    assert [dict(labels)["kpi_security_request_result"] for labels in series.points(SECURED)] == [result]


def test_secured_request_is_a_decorator_of_functions_of_both_kinds(series: Measured) -> None:
    @security.secured_request("orders.read")
    def read(number: int) -> int:
        return number

    @security.secured_request("orders.write")
    async def write(number: int) -> int:
        await asyncio.sleep(0)
        return number

    assert (read(7), asyncio.run(write(8)), read.__name__) == (7, 8, "read")
    assert inspect.iscoroutinefunction(write)
    operations = {
        dict(labels)["kpi_security_operation"]: point.count
        for labels, point in series.points(SECURED).items()
    }
    assert operations == {"orders.read": 1, "orders.write": 1}  # fmt: skip


def test_secured_request_that_says_it_was_refused(series: Measured) -> None:
    async def refused() -> None:
        async with security.secured_request("orders.read") as request:
            request.denied()

    asyncio.run(refused())
    count, _ = series.value(
        SECURED, kpi_security_operation="orders.read", kpi_security_request_result="denied"
    )
    assert count == 1


def test_generator_is_measured_from_its_first_value_to_its_last(series: Measured) -> None:
    @security.secured_request("numbers")
    def numbers() -> Iterator[int]:
        yield 1
        raise PermissionError

    assert inspect.isgeneratorfunction(numbers)
    each = numbers()
    assert (next(each), series.points(SECURED)) == (1, {})
    with pytest.raises(PermissionError):
        next(each)
    count, _ = series.value(SECURED, kpi_security_operation="numbers", kpi_security_request_result="denied")
    assert count == 1


# --- bad input


class Word(Enum):
    HTML = "html"


class Broken:
    def __str__(self) -> str:
        raise ValueError

    __repr__ = __hash__ = __str__  # type: ignore[assignment] # as broken as can be


class BrokenText(str):
    __slots__ = ()

    def __str__(self) -> Any:  # type: ignore[override] # as broken as can be
        return 5  # noqa: PLE0307 - that is what is broken

    def __hash__(self) -> int:
        raise ValueError


ODD: tuple[Any, ...] = (
    None, "", 7, -1, 1.5, float("nan"), float("inf"), True, b"bytes", [], {}, object(), Word.HTML, Broken(),
    "x" * 10_000, "\ud800", Decimal(3), BrokenText("html"), 10**400,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::Warning")  # the SDK's own, of attribute values
@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_no_value_raises(series: Measured, value: Any) -> None:
    security.intrusion(value, address=value, detail=value)
    security.authentication(value, value, value, address=value)
    security.rate_limited(value, value, address=value)
    security.sanitized(value, value)
    security.suspicious(value, value, detail=value)
    with security.secured_request(value):
        pass
    assert series.reader.get_metrics_data() is not None


def test_event_of_half_characters_and_huge_numbers_can_be_sent() -> None:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    where = Origin("\ud800", ("\udfff",))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_logs, "get_logger", provider.get_logger)
        patched.setattr(events, "_allowance", events.Allowance())
        events.write("security.intrusion", {"kpi.security.intrusion.kind": "scan\ud800"}, where)
        events.write("security.intrusion", {}, where, {"file\udce9": "caf\udce9", "size": 10**30, "n": 3})
    sent = [each.log_record for each in exporter.get_finished_logs()]
    assert encode_logs(exporter.get_finished_logs()).SerializeToString()
    assert sent[0].body == "Intrusion attempt: scan? from ?"
    further = dict(sent[1].attributes or {})
    assert (further["file?"], further["size"], further["n"]) == ("caf?", str(10**30), 3)


def test_hops_that_a_caller_makes_up_are_eight_at_most() -> None:
    assert hops("198.51.100.1, 10.0.0.1", "10.0.0.2") == ("198.51.100.1", "10.0.0.1", "10.0.0.2")
    assert len(hops("1.1.1.1," * 1_000_000)) == 8
    assert len(hops(*["1.1.1.1"] * 100_000)) == 8
