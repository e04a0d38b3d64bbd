"""The trace pages in a real browser: a day of a shop, large traces, and what nobody should send."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from support.browser import EVERY_SIZE
from support.pace import slowdown

if TYPE_CHECKING:
    from support.browser import Site, Tab


@pytest.fixture
def site(day: Site) -> Site:
    return day


@pytest.mark.proof
@EVERY_SIZE
def test_the_pages_fit_their_window_in_both_themes(tab: Tab, site: Site) -> None:
    answer = site.trace_id("POST /ask", "t.llm_calls > 0")
    order = site.trace_id("POST /checkout", "t.errors > 0")
    for name, path in {
        "list": "/traces?service=gateway",
        "trace": f"/traces/{order}",
        "model": f"/traces/{answer}",
        "statistics": f"/traces/{order}?view=statistics",
        "logs": f"/traces/{order}?view=logs",
        "map": "/map",
        "compare": f"/compare?a={answer}&b={order}",
    }.items():
        tab.open(path)
        tab.picture(name)
        assert tab.too_wide() <= 0, name


def test_from_the_list_to_a_span_and_back_every_state_has_an_address(tab: Tab) -> None:
    page = tab.open("/traces?service=payments&status=error")
    row = page.locator("tr[data-row]").first
    trace = row.get_attribute("data-trace")
    row.get_by_role("link").click()
    expect(page).to_have_url(re.compile(f"/traces/{trace}$"))
    expect(page.locator("#pane")).to_be_hidden()
    page.locator("#rows .r", has_text="POST /charge").first.click()
    expect(page.locator("#pane")).to_contain_text("CardDeclined")
    expect(page).to_have_url(re.compile(r"\?span=[0-9a-f]{16}"))
    tab.picture("span")
    address = page.url
    page.go_back()
    expect(page.locator("#pane")).to_be_hidden()
    page.go_back()
    expect(page).to_have_url(re.compile("service=payments"))
    page.goto(address)
    expect(page.locator("#pane")).to_contain_text("CardDeclined")


def test_a_trace_can_be_read_by_keys_alone(tab: Tab, site: Site) -> None:
    page = tab.open("/traces/" + site.trace_id("POST /checkout", "t.errors > 0"))
    page.keyboard.press("n")
    expect(page.locator(".r.failed:focus")).to_have_count(1)
    before = page.locator("#rows .r:visible").count()
    page.keyboard.press("[")
    expect(page.locator("#rows .r:visible")).not_to_have_count(before)
    expect(page).to_have_url(re.compile("collapsed="))
    page.keyboard.press("]")
    expect(page.locator("#rows .r:visible")).to_have_count(before)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#pane")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#pane")).to_be_hidden()
    page.keyboard.press("c")
    expect(page.locator("#critical")).not_to_be_checked()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    tab.picture("keys")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("#find")).to_be_focused()
    page.keyboard.type("http.route=/checkout")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=http.route"))
    page.locator("h1").click()
    page.keyboard.press("s")
    expect(page).to_have_url(re.compile("/map$"))


def test_what_repeats_unfolds_and_its_address_remembers(tab: Tab, site: Site) -> None:
    page = tab.open("/traces/" + site.trace_id("GET /products", "t.statements > 8"))
    row = page.locator(".r.repeats")
    expect(row).to_contain_text("N+1")
    before = page.locator("#rows .r:visible").count()
    row.click()
    expect(row).to_have_attribute("aria-expanded", "true")
    assert page.locator("#rows .r:visible").count() > before + 5
    page.reload()
    expect(row).to_have_attribute("aria-expanded", "true")
    page.locator("#narrow").fill("select")
    expect(page.locator("#said")).to_contain_text("found")


def test_the_theme_is_switched_and_kept(tab: Tab) -> None:
    page = tab.open("/traces")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_times_are_local_and_utc_on_hover(tab: Tab) -> None:
    page = tab.open("/traces")
    time = page.locator("td time").first
    expect(time).to_have_attribute("title", re.compile(r" UTC$"))


def test_two_that_are_ticked_are_compared(tab: Tab) -> None:
    page = tab.open("/traces")
    boxes = page.locator('input[name="trace"]')
    boxes.nth(0).check()
    expect(page.locator("#compare")).to_be_disabled()
    boxes.nth(3).check()
    page.locator("#compare").click()
    expect(page).to_have_url(re.compile(r"/compare\?a=[0-9a-f]{32}&b=[0-9a-f]{32}"))
    expect(page.locator("h1")).to_have_text("Compare")


def test_5_000_spans_open_at_once_and_scroll_without_stutter(tab: Tab, site: Site) -> None:
    tab.open(f"/traces/{site.large[1]}")  # once, so that files and the store's pages are warm
    page = tab.open(f"/traces/{site.large[1]}")
    timing = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    print(f"5,000 spans: {timing:.0f} ms")
    assert timing < 3 * 600
    frames = page.evaluate(SCROLLED)
    print(f"frames while scrolling, 95 of 100: {frames:.0f} ms")
    assert frames < 3 * 34 * slowdown(), "two frames of 60 a second"
    tab.picture("5000")


def test_rows_that_are_drawn_at_once_have_addresses(tab: Tab, site: Site) -> None:
    page = tab.open(f"/traces/{site.large[0]}")
    expect(page.locator("#waterfall")).to_have_attribute("data-large", "no")
    last = page.locator("#rows .r").last.get_attribute("id")
    page.goto(f"{site.url}/traces/{site.large[0]}#{last}")
    expect(page.locator(f'[id="{last}"]')).to_be_in_viewport()


def test_a_larger_trace_has_only_in_the_page_what_is_seen(tab: Tab, site: Site) -> None:
    page = tab.open(f"/traces/{site.large[1]}")
    expect(page.locator("#waterfall")).to_have_attribute("data-large", "yes")
    assert page.locator("#rows .r").count() < 200
    page.keyboard.press("End")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator('#rows .r[aria-level="1"]')).to_have_count(0)
    assert page.locator("#rows .r").count() < 200
    row = page.locator("#rows .r").nth(30)
    identity = row.get_attribute("id")
    row.click()
    expect(page.locator("#pane")).to_be_visible()
    expect(page).to_have_url(re.compile(f"span={identity}"))
    page.reload()
    expect(page.locator(f'[id="{identity}"]')).to_be_in_viewport()
    tab.picture("large")


def test_hostile_text_in_every_field_is_shown_and_never_run(tab: Tab, site: Site) -> None:
    rows = site.store.reader().execute("SELECT trace_id FROM trace WHERE id BETWEEN 3 AND 10").fetchall()
    assert rows
    for row in rows[:3]:
        page = tab.open(f"/traces/{row[0].hex()}")
        page.locator("#rows .r").first.click()
        expect(page.locator("#pane")).to_be_visible()
    tab.picture("hostile")


SCROLLED = """() => new Promise((done) => {
  const frames = [];
  let before = performance.now();
  let at = 0;
  const next = (now) => {
    frames.push(now - before);
    before = now;
    at += 400;
    scrollTo(0, at);
    if (frames.length < 60) requestAnimationFrame(next);
    else done(frames.sort((a, b) => a - b)[56]);
  };
  requestAnimationFrame(next);
})"""
