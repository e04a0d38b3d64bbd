"""What comes while one looks: sent by OpenTelemetry's SDK, seen without a reload."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from playwright.sync_api import expect
from support.dev import sent

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.trace import Tracer
    from playwright.sync_api import Page
    from support.browser import Site, Tab


@pytest.fixture
def site(fresh: Site) -> Site:
    return fresh


PROMISED = 1.0
"""Seconds from the end of a span to the page."""


@contextmanager
def sending(site: Site, service: str = "live-shop") -> Generator[Tracer]:
    """As `otel-kpi dev` sets an SDK: what ends is sent within a fifth of a second."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(f"{site.url}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=200))
    try:
        yield provider.get_tracer("live")
    finally:
        provider.shutdown()


def listening(page: Page) -> None:
    expect(page.locator("#live-state")).to_have_text("live")


def test_spans_arrive_within_a_second_and_figures_follow(tab: Tab, site: Site) -> None:
    page = tab.open("/")
    listening(page)
    expect(page.locator(".empty")).to_be_visible()
    with sending(site) as tracer:
        late: list[float] = []
        for number in range(3):
            with tracer.start_as_current_span(f"GET /live/{number}", kind=SpanKind.SERVER) as span:
                span.set_attribute("http.request.method", "GET")
            ended = time.monotonic()
            expect(page.locator(".arrival").first).to_contain_text(f"GET /live/{number}")
            late.append(time.monotonic() - ended)
        print("from the end of a span to the page:", [f"{each * 1000:.0f} ms" for each in late])
        assert min(late) < 3 * PROMISED
        expect(page.locator(".arrival")).to_have_count(3)
        expect(page.locator("#live-none")).to_be_hidden()
        expect(page.locator("#live-now")).to_contain_text("live-shop")
        expect(page.locator("#live-requests + .card-body svg.plot")).to_be_visible()
        tab.picture("arrived")
        page.locator(".arrival a").first.click()
        expect(page.locator("h1")).to_contain_text("GET /live/2")
        page.go_back()
        with tracer.start_as_current_span("GET /live/again", kind=SpanKind.SERVER):
            pass
        expect(page.locator(".arrival").first).to_contain_text("GET /live/again")


def test_who_pauses_or_has_scrolled_is_not_moved(tab: Tab, site: Site) -> None:
    page = tab.open("/")
    listening(page)
    with sending(site) as tracer:
        for number in range(40):
            with tracer.start_as_current_span(f"first {number}"):
                pass
        expect(page.locator(".arrival")).to_have_count(40)
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#live-state")).to_have_text("paused")
        with tracer.start_as_current_span("while paused"):
            pass
        expect(page.locator("#live-new")).to_have_text("1 new")
        expect(page.locator(".arrival", has_text="while paused")).to_have_count(0)
        page.get_by_role("button", name="1 new").click()
        expect(page.locator(".arrival").first).to_contain_text("while paused")
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        before = page.evaluate("scrollY")
        with tracer.start_as_current_span("while scrolled"):
            pass
        expect(page.locator("#live-new")).to_have_text("1 new")
        assert page.evaluate("scrollY") == before
        page.locator("#live-new").click()
        expect(page.locator(".arrival").first).to_contain_text("while scrolled")
        expect(page.locator(".arrival").first).to_be_in_viewport()


def test_log_records_arrive_as_long_as_they_fit_the_search(tab: Tab, site: Site) -> None:
    site.server.post("/v1/logs", sent.logs("hello from before"))
    page = tab.open("/logs?q=hello")
    expect(page.locator("#logs-state")).to_have_text("live")
    site.server.post("/v1/logs", sent.logs("hello again", "something else"))
    expect(page.locator(".log").first).to_contain_text("hello again")
    expect(page.locator(".log")).to_have_count(2)
    page.get_by_role("button", name="Pause").click()
    site.server.post("/v1/logs", sent.logs("hello third"))
    expect(page.locator("#logs-new")).to_have_text("1 new")
    page.get_by_role("button", name="1 new").click()
    expect(page.locator(".log").first).to_contain_text("hello third")


def test_what_could_not_be_kept_is_told_on_every_page(tab: Tab, site: Site) -> None:
    site.server.post("/v1/traces", sent.traces("GET /kept"))
    assert site.server.post("/v1/traces", b"no telemetry").status == 400
    page = tab.open("/telemetry")
    deadline = time.monotonic() + 20
    while not page.locator(".chip.error", has_text="malformed").count() and time.monotonic() < deadline:
        page.reload()  # counts are written once a second
    expect(page.locator(".chip.error")).to_have_text("malformed")
    expect(page.locator("#reception")).to_contain_text("1 not kept")
    page.get_by_text("What the words mean").click()
    expect(page.get_by_text("Requests that are no OTLP.")).to_be_visible()
    tab.picture("malformed")


def test_every_tab_hears_by_one_connection(tab: Tab, site: Site) -> None:
    first = tab.open("/")
    listening(first)
    second = first.context.new_page()
    second.goto(site.url + "/")
    listening(second)
    with sending(site) as tracer, tracer.start_as_current_span("for both"):
        pass
    for page in (first, second):
        expect(page.locator(".arrival").first).to_contain_text("for both")
    first.close()
    with sending(site) as tracer, tracer.start_as_current_span("for who is left"):
        pass
    expect(second.locator(".arrival").first).to_contain_text("for who is left")
    expect(second).to_have_title(re.compile("Live"))
    tab.page = second


def test_a_server_that_ends_says_goodbye_and_the_page_says_that_it_is_alone(tab: Tab, site: Site) -> None:
    page = tab.open("/")
    listening(page)
    site.server.do(site.server.server.stop())
    expect(page.locator("#live-state")).to_have_text("not connected, trying again")
    assert not [text for text in tab.complaints if "CHUNKED" in text], "the stream was ended, not cut off"
    tab.complaints.clear()  # that nobody answers any more
