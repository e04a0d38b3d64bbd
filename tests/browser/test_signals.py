"""Metrics, logs, the telemetry itself and the map: what each of their controls does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from support.browser import Site, Tab

SPAN = re.compile(r"/traces/[0-9a-f]{32}\?span=[0-9a-f]{16}$")


def test_an_instrument_is_found_drawn_by_attribute_and_its_exemplar_opens_a_trace(tab: Tab) -> None:
    page = tab.open("/instruments")
    every = page.locator("tr[data-row]").count()
    page.get_by_label("Words in the name, the description or the meter").fill("server request duration")
    page.get_by_role("button", name="Find").click()
    expect(page).to_have_url(re.compile("q=server"))
    assert 0 < page.locator("tr[data-row]").count() < every
    page.get_by_label("Service").select_option("storefront-shop")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="http.server.request.duration").first.click()
    expect(page).to_have_url(re.compile(r"/instruments/\d+\?service=storefront-shop"))
    expect(page.locator(".facts .chip", has_text="histogram")).to_be_visible()
    expect(page.locator(".chart-lines .line").first).to_be_attached()
    expect(page.locator(".chart-histogram")).to_be_visible()
    page.get_by_label("A line for each").select_option("http.route")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("by=http.route"))
    expect(page.locator(".chart-lines .legend").first).to_contain_text("/checkout")
    page.locator("a.chip", has_text="http.route=/checkout").first.click()
    expect(page.get_by_label("Without http.route")).to_be_visible()
    tab.picture("route")
    page.get_by_role("link", name="24h", exact=True).click()
    expect(page).to_have_url(re.compile("where=http.route.*window=24h"))
    page.get_by_label("Without http.route").click()
    expect(page).not_to_have_url(re.compile("where="))
    page.go_back()
    expect(page).to_have_url(re.compile("where="))
    dot = page.locator(".chart-scatter a").first
    expect(dot).to_have_attribute("href", SPAN)
    page.locator("section.card", has_text="Exemplars").locator("tbody a").first.click()
    expect(page).to_have_url(SPAN)
    expect(page.locator("#pane")).to_be_visible()
    expect(page.locator("#waterfall")).to_contain_text("/checkout")


def test_metrics_are_there_as_text_for_a_scraper(tab: Tab) -> None:
    page = tab.open("/instruments")
    page.get_by_role("link", name="as Prometheus text").click()
    expect(page).to_have_url(re.compile("/metrics$"))
    assert "kpi_etl_records_processed_total{" in page.inner_text("body")


def test_logs_are_searched_by_words_level_service_and_trace(tab: Tab) -> None:
    page = tab.open("/logs")
    page.get_by_label("Words, or an attribute as key=value").fill("rejected")
    page.get_by_role("button", name="Find").click()
    expect(page).to_have_url(re.compile("q=rejected"))
    for body in page.locator(".log .body").all_inner_texts():
        assert "rejected" in body
    page.get_by_role("link", name="All", exact=True).click()
    page.get_by_label("Level").select_option("error")
    page.get_by_role("button", name="Find").click()
    expect(page.locator(".log").first).to_be_visible()
    expect(page.locator(".log:not(.level-error)")).to_have_count(0)
    page.get_by_label("Level").select_option("")
    page.get_by_label("Service").select_option("storefront-etl")
    page.get_by_role("button", name="Find").click()
    assert set(page.locator(".log .service").all_inner_texts()) == {"storefront-etl"}
    first = page.locator(".log").first
    first.locator("summary").click()
    expect(first.locator(".more")).to_contain_text("scope")
    tab.picture("open")
    first.get_by_role("link", name="its log records").click()
    expect(page).to_have_url(re.compile("trace=[0-9a-f]{32}"))
    address = page.url
    page.get_by_role("link", name="trace", exact=True).first.click()
    expect(page).to_have_url(SPAN)
    expect(page.locator("#pane")).to_contain_text("Logs")
    page.go_back()
    expect(page).to_have_url(address)


def test_older_log_records_are_a_page_away_and_rows_open_by_keys(tab: Tab) -> None:
    page = tab.open("/logs")
    expect(page.locator("#logs-follow")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".log").nth(1).locator("details")).to_have_attribute("open", "")
    first = page.locator(".log").evaluate_all("all => all.map((row) => Number(row.dataset.number))")
    page.get_by_role("link", name="Older").click()
    expect(page).to_have_url(re.compile("before="))
    second = page.locator(".log").evaluate_all("all => all.map((row) => Number(row.dataset.number))")
    assert second
    assert not set(first) & set(second)


def test_who_sends_and_what_is_kept_is_said(tab: Tab, site: Site) -> None:
    page = tab.open("/telemetry")
    services = {row[0] for row in site.store.reader().execute("SELECT name FROM service")}
    senders = page.locator("section.card", has=page.get_by_role("heading", name="Who sends"))
    assert services <= set(senders.locator("tbody td:first-child").all_inner_texts())
    page.get_by_role("link", name="24 h").click()
    expect(page).to_have_url(re.compile("minutes=1440"))
    expect(page.locator(".cards")).to_contain_text("Accepted, 24 h")
    expect(page.locator(".chart-stacked")).to_be_visible()
    page.locator("#reception").click()
    expect(page).to_have_url(re.compile("/telemetry$"))


def test_a_service_of_the_map_leads_to_its_traces(tab: Tab) -> None:
    page = tab.open("/map")
    node = page.locator(".graph a.node", has_text="storefront-shop")
    expect(page.locator(".graph .edge")).to_have_count(page.locator("tbody tr").count())
    expect(page.locator(".graph .edge title").first).to_have_text(re.compile(r".+ calls .+: \d+"))
    node.click()
    expect(page).to_have_url(re.compile("/traces\\?service=storefront-shop"))
    assert page.locator("tr[data-row]").count() > 0
    page.go_back()
    page.get_by_role("link", name="last hour").click()
    expect(page).to_have_url(re.compile("hours=1$"))
    expect(page.get_by_role("link", name="last hour")).to_have_attribute("aria-current", "true")


def test_the_theme_stays_on_every_page_until_it_is_changed_back(tab: Tab) -> None:
    page = tab.open("/")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Change to light").click()
    for path in ("/llm", "/logs", "/help", "/instruments"):
        assert tab.open(path).evaluate(ground) != dark, path
    page.get_by_role("button", name="Change to dark").click()
    assert tab.open("/errors").evaluate(ground) == dark


def test_times_are_local_in_lists_and_below_pictures_and_utc_on_hover(tab: Tab) -> None:
    """The browser is in Berlin: UTC and one or two hours."""
    page = tab.open("/traces")
    for element in (page.locator("td time").first, page.locator(".chart text.time").first):
        nanoseconds = element.get_attribute("data-ns")
        shown, utc = page.evaluate(
            """ns => [new Date(ns / 1e6).toLocaleTimeString("de-DE", {timeZone: "Europe/Berlin"}),
                      new Date(ns / 1e6).toISOString().slice(11, 19)]""",
            int(nanoseconds or 0),
        )
        assert shown != utc
        text = element.evaluate("each => each.lastChild.data")
        assert text.startswith((shown, shown[:5])), (text, shown)
        title = element.evaluate("each => each.title || each.querySelector('title').textContent")
        assert utc in title
        assert title.endswith("UTC")
