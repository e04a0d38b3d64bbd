"""Exceptions that are alike are one problem, and one exception is counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.dev.said import MS, START, TRACE, exception, failure, of, record, rows, span

from otel_kpi.dev.store import problems
from otel_kpi.dev.store.fingerprints import innermost, without_ids

if TYPE_CHECKING:
    from otel_kpi.dev.store import Store

_PYTHON = """Traceback (most recent call last):
  File "/srv/shop/orders.py", line 12, in find
    raise KeyError(number)
KeyError: 4711

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/shop/web.py", line 40, in handle
    order = orders.find(number)
  File "/srv/shop/orders.py", line 14, in find
    raise OrderError from error
  File "/srv/.venv/lib/python3.11/site-packages/sqlalchemy/engine.py", line 99, in execute
    raise
shop.OrderError: no such order 4711
"""
_JAVA = """java.lang.IllegalStateException: no such order
\tat java.base/java.util.Objects.check(Objects.java:3)
\tat org.springframework.web.Filter.run(Filter.java:9)
\tat com.shop.Orders.find(Orders.java:88)
\tat com.shop.Web.handle(Web.java:12)
"""
_NODE = """Error: no such order
    at node:internal/process:1:2
    at next (/srv/node_modules/express/lib/router.js:10:3)
    at findOrder (/srv/src/orders.js:14:9)
    at handle (/srv/src/web.js:3:1)
"""
_GO = "panic: no such order\n\ngoroutine 1 [running]:\nmain.find(...)\n\t/srv/main.go:12 +0x1d\nmain.main()\n\t/srv/main.go:5 +0x2\n"
_DOTNET = "System.Exception: x\n   at System.Data.Run()\n   at Shop.Orders.Find(Int32 n) in /srv/Orders.cs:line 14\n"


@pytest.mark.parametrize(
    ("stack", "frame"),
    [
        (_PYTHON, "/srv/shop/orders.py in find"),
        (_JAVA, "com.shop.Orders.find(Orders.java)"),
        (_NODE, "findOrder (/srv/src/orders.js)"),
        (_GO, "/srv/main.go in main.find"),
        (_DOTNET, "Shop.Orders.Find(Int32 n) in /srv/Orders.cs"),
        ("", ""),
        ("no stack at all", ""),
        ('File "' * 50_000, ""),
    ],
)
def test_the_innermost_frame_of_the_application_is_found(stack: str, frame: str) -> None:
    assert innermost(stack) == frame


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("no such order 4711", "no such order <number>"),
        ("user 0b7a5a1e-6f1c-4b3f-9a53-0d0f9c1a2b3c at 10.0.0.7:5432", "user <uuid> at <address>"),
        ("mail to ada@example.org failed at 2026-11-21T08:00:00Z", "mail to <mail> failed at <time>"),
        ("object at 0x7f2a9c", "object at <address>"),
    ],
)
def test_what_varies_in_a_message_is_named(message: str, said: str) -> None:
    assert without_ids(message) == said


def counted(store: Store) -> list[tuple[Any, ...]]:
    return rows(
        store,
        "SELECT type, message, times, (SELECT count(*) FROM occurrence WHERE problem = problem.id) FROM problem",
    )


def test_the_same_error_with_other_numbers_and_lines_is_one_problem(store: Store) -> None:
    store.write([
        of("shop",
           span("a", events=[exception(message="no such order 1", stack=_PYTHON)]),
           span("b", events=[exception(message="no such order 2", stack=_PYTHON.replace("line 14", "line 15"), time_ns=START + 9)]),
           span("c", events=[exception(message="no such order 3", stack=_PYTHON.replace("in find", "in other"))])),
    ])  # fmt: skip
    assert counted(store) == [
        ("ValueError", "no such order <number>", 2, 2),
        ("ValueError", "no such order <number>", 1, 1),
    ]
    assert rows(store, "SELECT first_ns, last_ns, frame FROM problem WHERE id = 1") == [
        (START, START + 9, "/srv/shop/orders.py in find")
    ]
    assert rows(store, "SELECT message FROM occurrence WHERE problem = 1") == [
        ("no such order 1",),
        ("no such order 2",),
    ]


def test_an_exception_that_passes_three_spans_and_a_logger_is_counted_once(store: Store) -> None:
    store.write([of("shop", span("inner", "middle", events=[exception()]))])
    store.write(
        [of("shop", record("failed", trace=TRACE, span_id="middle", values=failure()), signal="logs")]
    )
    store.write(
        [of("shop", span("middle", "outer", events=[exception()]), span("outer", events=[exception()]))]
    )
    assert counted(store) == [("ValueError", "no such order <number>", 1, 1)]


def test_a_logger_that_is_first_is_given_the_span(store: Store) -> None:
    store.write([of("shop", span("root", ms=90))])
    store.write([of("shop", record("failed", trace=TRACE, span_id="inner", values=failure()), signal="logs")])
    store.write([of("shop", span("inner", "root", events=[exception()]))])
    assert counted(store) == [("ValueError", "no such order <number>", 1, 1)]
    assert rows(store, "SELECT span, log FROM occurrence") == [(2, 1)]


def test_three_attempts_in_one_span_are_three(store: Store) -> None:
    store.write([of("shop", span("retry", events=[exception(), exception(), exception()]))])
    assert counted(store) == [("ValueError", "no such order <number>", 3, 3)]


def test_log_records_without_a_trace_are_counted_each(store: Store) -> None:
    store.write([of("cron", record("x", values=failure()), record("x", values=failure()), signal="logs")])
    assert counted(store) == [("ValueError", "no such order <number>", 2, 2)]


def test_the_newest_of_very_many_are_kept_and_all_are_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "MOST_OCCURRENCES", 10)
    for number in range(40):
        store.write(
            [of("shop", span("a", trace=b"%016d" % number, events=[exception(time_ns=START + number)]))]
        )
    ((_, _, times, kept),) = counted(store)
    assert times == 40
    assert 10 <= kept <= 20
    assert rows(store, "SELECT max(time_ns) FROM occurrence") == [(START + 39,)]


@pytest.mark.parametrize(("sent", "kept"), [(0, START + 10 * MS), (2**63 + 5, 2**63 - 1)])
def test_an_exception_whose_time_is_none_does_its_request_no_harm(store: Store, sent: int, kept: int) -> None:
    store.write([of("shop", span("a", events=[exception(time_ns=sent)]), span("b"))])
    assert rows(store, "SELECT first_ns, last_ns FROM problem") == [(kept, kept)]
    assert rows(store, "SELECT count(*) FROM span") == [(2,)]
