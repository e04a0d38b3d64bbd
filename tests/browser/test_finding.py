"""Finding traces: each field, words and attributes, the drawing, the keys, and that an address says all of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from support.browser import Site, Tab

ROW = "tr[data-row]"
OPERATION = "GET /products/{product_id}/stock"
READY = '#rows .r[tabindex="0"]'
"""A row that the keys begin at: the page listens to them."""


def seconds(text: str) -> float:
    """A duration as the list writes it."""
    number, unit = text.split()[:2]
    return float(number) * {"µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60}[unit]


def durations(page: Page) -> list[float]:
    return [seconds(text) for text in page.locator("td.lasted .number").all_inner_texts()]


def test_each_field_narrows_the_list_and_stands_in_the_address(tab: Tab) -> None:
    page = tab.open("/traces")
    page.get_by_label("Service").select_option("storefront-shop")
    expect(page).to_have_url(re.compile(r"/traces\?service=storefront-shop$"))
    assert set(page.locator("td.what .service").all_inner_texts()) == {"storefront-shop"}
    operations = page.locator("#operations option").evaluate_all("all => all.map((each) => each.value)")
    assert OPERATION in operations
    page.get_by_label("Operation").fill(OPERATION)
    page.get_by_label("Operation").press("Enter")
    expect(page).to_have_url(re.compile(r"operation=GET"))
    assert set(page.locator(".root").all_inner_texts()) == {OPERATION}
    everything = durations(page)
    middle = sorted(everything)[len(everything) // 2]
    page.get_by_label("At least").fill(f"{middle:.3f}s")
    page.get_by_role("button", name="Find").click()
    expect(page).to_have_url(re.compile("min="))
    assert 0 < len(durations(page)) < len(everything)
    assert min(durations(page)) >= middle - 0.006, "as exact as it is written"
    page.get_by_label("At least").fill("")
    page.get_by_label("At most").fill(f"{middle:.3f}s")
    page.get_by_role("button", name="Find").click()
    expect(page).to_have_url(re.compile("max="))
    assert max(durations(page)) <= middle + 0.006
    page.get_by_label("At most").fill("")
    page.get_by_label("Status").select_option("error")
    expect(page).to_have_url(re.compile(r"status=error$"))
    expect(page.locator(f"{ROW}:not(.failed)")).to_have_count(0)
    tab.picture("narrowed")
    address, found = page.url, page.locator(ROW).count()
    page.goto(address)
    expect(page.locator(ROW)).to_have_count(found)
    expect(page.get_by_label("Status")).to_have_value("error")
    expect(page.get_by_label("Operation")).to_have_value(OPERATION)
    page.locator(ROW).first.get_by_role("link").click()
    expect(page.locator("#waterfall")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(address)
    page.get_by_role("link", name="All", exact=True).click()
    expect(page).to_have_url(re.compile("/traces$"))


@pytest.mark.parametrize(
    ("typed", "roots"),
    [
        ("http.route=/checkout", {"POST /checkout"}),
        ("kpi.feature=plan", {"POST api/v1/sessions/<uuid:session>/plan"}),
        ('gen_ai.request.model="claude-haiku-4-5"', {"POST api/v1/sessions/<uuid:session>/end"}),
        ("SKU-LOST", {"GET /products/{product_id}/stock"}),
        ("PermissionDenied", {"GET files"}),
    ],
)
def test_words_and_attributes_are_searched_from_any_page(tab: Tab, typed: str, roots: set[str]) -> None:
    page = tab.open("/help")
    page.keyboard.press("/")
    page.keyboard.type(typed)
    page.keyboard.press("Enter")
    expect(page.locator(".asked .chip")).to_have_count(1)
    assert roots <= set(page.locator(".root").all_inner_texts())
    expect(page.locator("#find")).to_have_value(typed)


def test_an_id_opens_its_trace_and_what_is_not_understood_is_said(tab: Tab, site: Site) -> None:
    trace = site.trace_id("POST /checkout")
    page = tab.open("/traces")
    page.locator("#find").fill(trace)
    page.locator("#find").press("Enter")
    expect(page).to_have_url(re.compile(f"/traces/{trace}$"))
    page = tab.open("/traces?min=soon&status=odd")
    expect(page.get_by_role("status").first).to_contain_text(re.compile("left out: status=odd, min=soon"))
    page = tab.open("/traces?q=nobody-said-this")
    expect(page.get_by_role("heading", name="No trace fits")).to_be_visible()


def test_older_traces_are_a_page_away_and_back_is_where_one_was(tab: Tab) -> None:
    page = tab.open("/traces?service=kpi-system")
    first = page.locator(ROW).evaluate_all("all => all.map((row) => row.dataset.trace)")
    page.get_by_role("link", name="Older").click()
    expect(page).to_have_url(re.compile(r"service=kpi-system&before=\d+"))
    second = page.locator(ROW).evaluate_all("all => all.map((row) => row.dataset.trace)")
    assert second
    assert not set(first) & set(second)
    page.get_by_role("link", name="Newest").click()
    expect(page).to_have_url(re.compile(r"service=kpi-system$"))
    page.go_back()
    expect(page).to_have_url(re.compile("before="))


def test_a_dot_of_the_drawing_is_its_trace(tab: Tab) -> None:
    page = tab.open("/traces?service=storefront-shop")
    dot = page.locator(".chart-scatter a").first
    address = dot.get_attribute("href")
    expect(dot).to_have_attribute("aria-label", re.compile(r"(GET|POST) /.*, [\d.]+ (ms|s)"))
    dot.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"{address}$"))


def test_a_list_is_walked_and_opened_by_keys_and_a_trace_knows_its_neighbours(tab: Tab) -> None:
    page = tab.open("/traces?service=kpi-system-office")
    listed = page.locator(ROW).evaluate_all("all => all.map((row) => row.dataset.trace)")
    for key in ("j", "j", "k", "j"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/traces/{listed[1]}$"))
    expect(page.locator(READY)).to_have_count(1)
    page.keyboard.press("J")
    expect(page).to_have_url(re.compile(f"/traces/{listed[2]}$"))
    expect(page.locator(READY)).to_have_count(1)
    page.keyboard.press("K")
    expect(page).to_have_url(re.compile(f"/traces/{listed[1]}$"))
    page.get_by_label("All traces").click()
    expect(page).to_have_url(re.compile("service=kpi-system-office"))


def test_every_page_has_a_key_and_single_letters_can_be_left_to_others(tab: Tab) -> None:
    page = tab.open("/help")
    keys = page.locator("nav.rail [data-key]").evaluate_all(
        "all => all.map((each) => [each.dataset.key, each.getAttribute('href')])"
    )
    assert len(keys) == 9
    for key, path in keys:
        page.keyboard.press(key)
        expect(page).to_have_url(re.compile(f"{path}$"))
        expect(page.locator(f'nav.rail [aria-current="page"][href="{path}"]')).to_have_count(1)
        page.wait_for_load_state()  # its scripts listen
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.get_by_label("Single letters are keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.press("Control+k")
    expect(page.locator("#find")).to_be_focused()
    expect(page).to_have_url(re.compile("/telemetry$"))
    page.reload()
    page.locator("#help-open").click()
    expect(page.get_by_label("Single letters are keys")).not_to_be_checked()
    page.get_by_role("link", name="Help", exact=True).click()
    expect(page).to_have_url(re.compile("/help$"))
