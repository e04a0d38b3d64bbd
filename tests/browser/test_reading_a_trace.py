"""A trace of the example systems: its views, what stands beside it, two of them beside each other."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from support.browser import Site, Tab

LISTS = ("/", "/traces", "/map", "/llm", "/pipelines", "/errors", "/instruments", "/logs", "/telemetry")


def test_statistics_and_logs_lead_to_their_span(tab: Tab, site: Site) -> None:
    trace = site.trace_id("POST /checkout", "errors > 0")
    page = tab.open(f"/traces/{trace}")
    page.get_by_role("link", name="Statistics").click()
    expect(page).to_have_url(re.compile(r"view=statistics"))
    own = page.locator("tbody td:nth-child(5) b").all_inner_texts()
    assert len(own) >= 5
    page.locator("tbody").get_by_role("link", name="POST /checkout").click()
    expect(page).to_have_url(re.compile(r"\?span=[0-9a-f]{16}$"))
    expect(page.locator("#pane h2")).to_have_text("POST /checkout")
    page.locator(".tabs").get_by_role("link", name=re.compile("^Logs")).click()
    expect(page).to_have_url(re.compile("view=logs"))
    page.locator("table.logs tbody a").first.click()
    expect(page.locator("#pane")).to_contain_text("Logs")
    page.get_by_role("link", name="JSON").click()
    assert json.loads(page.inner_text("pre"))["data"][0]["traceID"] == trace


def test_a_run_is_read_for_what_it_is(tab: Tab, site: Site) -> None:
    page = tab.open(f"/traces/{site.trace_id('run marketing')}")
    page.locator("#rows .r", has_text="validate").first.click()
    pane = page.locator("#pane")
    expect(pane.get_by_label("Pipeline")).to_contain_text("of marketing")
    expect(pane.locator(".reasons")).to_contain_text("missing_email")
    tab.picture("stage")
    page.locator("#rows .r", has_text="run marketing").click()
    expect(pane.locator("h2")).to_have_text("run marketing")
    pane.get_by_label("Pipeline").get_by_role("link").click()
    expect(page.locator("h1")).to_have_text("marketing")


def test_what_is_folded_and_looked_for_stands_in_the_address_or_says_how_many(tab: Tab, site: Site) -> None:
    page = tab.open(f"/traces/{site.trace_id('POST api/v1/sessions/<uuid:session>/plan', 'llm_calls > 0')}")
    rows = page.locator("#rows .r:visible")
    every = rows.count()
    expect(page.locator('#rows .r[tabindex="0"]')).to_have_count(1)
    page.locator("#rows .r", has_text="make plan").locator("button.t").click()
    expect(page).to_have_url(re.compile("collapsed=[0-9a-f]{16}$"))
    folded = rows.count()
    assert folded < every
    page.reload()
    expect(page.locator("#waterfall")).to_be_visible()
    assert rows.count() == folded
    page.keyboard.press("]")
    expect(rows).to_have_count(every)
    page.get_by_label("Find in this trace").fill("select")
    expect(page.locator("#said")).to_have_text(re.compile(r"^\d+ found$"))
    found = int(page.locator("#said").inner_text().split()[0])
    page.get_by_label("matches only").check()
    expect(rows).not_to_have_count(every)
    assert found <= rows.count() < every
    page.get_by_label("critical path").uncheck()
    expect(page.locator("#waterfall.critical")).to_have_count(0)
    page.locator("#map").click(position={"x": 100, "y": 10})
    expect(page.locator("#rows .r:focus")).to_have_count(1)


def test_idle_time_is_left_out_when_asked(tab: Tab, site: Site) -> None:
    page = tab.open(f"/traces/{site.trace_id('/ws')}")
    if page.get_by_role("link", name=re.compile("leave out")).count():
        page.get_by_role("link", name=re.compile("leave out")).click()
        expect(page).to_have_url(re.compile("gaps=narrow"))
        expect(page.locator(".squeezed i").first).to_be_attached()
        page.get_by_role("link", name=re.compile("as it was")).click()
    expect(page).not_to_have_url(re.compile("gaps"))


def test_two_traces_are_beside_each_other_by_their_ids(tab: Tab, site: Site) -> None:
    first, second = (site.trace_id("POST /checkout", condition) for condition in ("errors > 0", "errors = 0"))
    page = tab.open("/compare")
    page.get_by_label("First trace").fill(first)
    page.get_by_label("Second trace").fill(second)
    page.get_by_role("button", name="Compare").click()
    expect(page).to_have_url(re.compile(f"a={first}&b={second}"))
    expect(page.locator(".likeness tr.only-both").first).to_contain_text("POST /checkout")
    expect(page.locator(".likeness tr.only-b").first).to_contain_text("only in the second")
    tab.picture("compared")
    page.get_by_role("link", name="Swap").click()
    expect(page).to_have_url(re.compile(f"a={second}&b={first}"))
    expect(page.locator(".likeness tr.only-a").first).to_be_visible()
    page.locator(".side-a a").click()
    expect(page).to_have_url(re.compile(f"/traces/{second}$"))


@pytest.mark.parametrize("tab", [("light", 380)], indirect=True, ids=["light-380"])
def test_on_a_telephone_a_span_comes_from_below_and_goes_again(tab: Tab, site: Site) -> None:
    page = tab.open(f"/traces/{site.trace_id('POST /checkout', 'errors > 0')}")
    expect(page.locator('#rows .r[tabindex="0"]')).to_have_count(1)
    page.locator("#rows .r", has_text="INSERT").click()
    expect(page.locator("#pane h2")).to_be_in_viewport()
    assert tab.too_wide() <= 0
    tab.picture("pane")
    page.locator("#close").click()
    expect(page.locator("#pane")).to_be_hidden()
    current = tab.open("/telemetry").locator(".rail [aria-current]")
    expect(current).to_be_in_viewport()


def test_hostile_text_is_shown_and_never_run_on_any_page(tab: Tab, day: Site) -> None:
    tab.at(day)
    for path in LISTS:
        page = tab.open(path)
        expect(page.get_by_role("main")).to_be_visible()
        assert page.evaluate("window.__executed") is None, path
        assert tab.too_wide() <= 0, path
    problem = day.one("SELECT id FROM problem ORDER BY id LIMIT 1")
    tab.open(f"/errors/{problem}")
