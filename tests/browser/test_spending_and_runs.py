"""Language models, pipelines and errors: from a sum to the call, from a run to the record, from a problem to its trace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator
    from support.browser import Site, Tab

SPAN = re.compile(r"/traces/[0-9a-f]{32}\?span=[0-9a-f]{16}$")


def column(table: Locator, number: int) -> list[str]:
    return [
        text.split("\n")[0] for text in table.locator(f"tbody tr > :nth-child({number})").all_inner_texts()
    ]


def number(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text) or 0)


def test_spend_is_seen_by_model_feature_tenant_and_provider(tab: Tab) -> None:
    page = tab.open("/llm")
    calls = number(
        page.locator(".figure", has=page.get_by_text("Calls", exact=True))
        .locator("dd")
        .inner_text()
        .split()[0]
    )
    for by, some in (
        ("model", {"claude-sonnet-4-6", "gpt-4o-mini"}),
        ("feature", {"plan", "chat"}),
        ("tenant", {"annecy", "lyon"}),
        ("provider", {"openai", "anthropic"}),
    ):
        page.get_by_role("link", name=f"By {by}").click()
        expect(page).to_have_url(re.compile(f"by={by}"))
        table = page.locator("#by table")
        assert some <= set(column(table, 1)), by
        assert sum(number(text) for text in column(table, 4)) == calls, "every call is in one row"
        costs = [number(text) for text in column(table, 2)]
        assert costs == sorted(costs, reverse=True), "the dearest first"
    page.get_by_role("link", name="anthropic", exact=True).click()
    expect(page.locator(".applied")).to_contain_text("provider: anthropic")
    page.get_by_role("link", name="By model").click()
    assert all(name.startswith("claude") for name in column(page.locator("#by table"), 1))
    tab.picture("narrowed")
    page.get_by_label("All providers").click()
    expect(page.locator("#by table")).to_contain_text("gpt-4o-mini")
    page.get_by_role("link", name="1h", exact=True).click()
    expect(page.get_by_role("link", name="1h", exact=True)).to_have_attribute("aria-current", "true")
    assert page.locator(".chart-stacked svg").count() >= 2
    expect(page.locator(".chart-table").first).to_contain_text("Numbers")


def test_the_dearest_and_the_slowest_call_open_their_span(tab: Tab) -> None:
    for heading in ("Dearest calls, USD", "Slowest calls"):
        page = tab.open("/llm")
        card = page.locator("section.card", has=page.get_by_role("heading", name=heading))
        said = card.locator("tbody a").first
        name = said.inner_text()
        said.click()
        expect(page).to_have_url(SPAN)
        expect(page.locator("#pane h2")).to_have_text(name)
        expect(page.locator("#pane")).to_contain_text("Tokens in")
        tab.picture(heading.split()[0])
    page = tab.open("/llm")
    card = page.locator("section.card", has=page.get_by_role("heading", name="Dearest calls, USD"))
    card.locator("tbody a", has_text="claude-sonnet").first.click()
    expect(page.locator("#pane")).to_contain_text("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT")
    page.get_by_label("Previous call").click()
    expect(page.locator("#pane h2")).to_contain_text("embeddings")
    page.get_by_label("Next call").click()
    expect(page.locator("#pane h2")).to_contain_text("claude-sonnet")
    page.go_back()
    expect(page.locator("#pane h2")).to_contain_text("embeddings")
    page.locator("#close").click()
    expect(page.locator("#pane")).to_be_hidden()


def test_a_price_that_nobody_knows_says_why(tab: Tab) -> None:
    page = tab.open("/llm")
    page.locator(".figure", has_text="Price unknown").get_by_role("link").click()
    expect(page).to_have_url(re.compile("#unpriced$"))
    expect(page.locator("#unpriced")).to_be_in_viewport()
    expect(page.locator("#unpriced tbody")).to_contain_text("no_usage")


def test_a_run_shows_its_stages_and_what_it_rejected_by_reason(tab: Tab) -> None:
    page = tab.open("/pipelines")
    assert {"archive", "catalogue", "crm", "inventory", "marketing", "sales"} <= set(
        column(page.locator("table").first, 1)
    )
    page.locator("main").get_by_role("link", name="marketing", exact=True).first.click()
    expect(page.locator(".applied")).to_contain_text("pipeline: marketing")
    runs = page.locator("section.card", has=page.get_by_role("heading", name="Runs", exact=True))
    assert set(column(runs, 1)) == {"marketing"}
    runs.locator("tbody a").first.click()
    expect(page.locator("h1")).to_have_text("marketing")
    stages = page.locator("section.card", has=page.get_by_role("heading", name="Stage by stage"))
    assert [text.split("\n")[0] for text in column(stages, 1)] == [
        "extract",
        "validate",
        "transform",
        "store",
    ]
    expect(page.locator(".chart-timeline .lane")).to_have_text(["extract", "validate", "transform", "store"])
    refused = page.locator(".chart-bars")
    expect(refused).to_contain_text("missing_email")
    rejected = number(page.locator(".figure", has_text="Rejected").locator("dd").inner_text().split()[0])
    told = sum(number(text) for text in refused.locator(".bar-value").all_inner_texts())
    assert told >= rejected > 0, "a record may have several reasons"
    tab.picture("run")
    address = page.url
    page.get_by_role("link", name="← Before").click()
    expect(page).not_to_have_url(address)
    page.get_by_role("link", name="After →").click()
    expect(page).to_have_url(address)
    refused.get_by_role("link", name="missing_email").click()
    expect(page).to_have_url(SPAN)
    expect(page.locator("#pane")).to_contain_text("missing_email")
    page.go_back()
    page.get_by_role("link", name="Trace", exact=True).click()
    expect(page.locator("#pane")).to_contain_text("of marketing")


def test_runs_that_failed_are_a_click_away_and_a_bar_is_its_run(tab: Tab) -> None:
    page = tab.open("/pipelines")
    page.get_by_role("link", name="failed only").click()
    expect(page).to_have_url(re.compile("status=error"))
    runs = page.locator("section.card", has=page.get_by_role("heading", name="Runs", exact=True))
    assert "success" not in runs.inner_text()
    bar = page.locator(".chart-timeline a").first
    expect(bar).to_have_attribute("href", re.compile(r"/pipelines/\d+"))
    bar.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".notice.error")).to_contain_text("ValueError")
    expect(page.locator(".page-head .chip.error")).to_be_visible()


def test_a_problem_has_its_stack_its_times_and_the_traces_behind_it(tab: Tab) -> None:
    page = tab.open("/errors")
    every = page.locator("tbody tr").count()
    page.get_by_label("Type, message, place or trace id").fill("unpack")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("aisle_and_shelf")
    page.get_by_label("Type, message, place or trace id").fill("")
    page.get_by_label("Service").select_option("kpi-system")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile("service=kpi-system"))
    assert 0 < page.locator("tbody tr").count() < every
    page = tab.open("/errors?q=unpack")
    page.locator("tbody a").first.click()
    expect(page.locator("h1")).to_have_text("ValueError")
    place = page.locator(".stackview .place")
    expect(place).to_contain_text("in aisle_and_shelf")
    expect(place).to_be_in_viewport()
    tab.picture("stack")
    address = page.url
    page.get_by_role("link", name="← Earlier").click()
    expect(page).to_have_url(re.compile(r"occurrence=\d+"))
    page.get_by_role("link", name="Later →").click()
    expect(page.get_by_text(re.compile(r"^(\d+) of \1$"))).to_be_visible()
    page.goto(address)
    page.get_by_role("link", name="Trace", exact=True).click()
    expect(page).to_have_url(SPAN)
    expect(page.locator("#pane")).to_contain_text("not enough values to unpack")
    page.go_back()
    page.locator("section.card", has_text="Where it happened").locator("tbody a.mono").last.click()
    expect(page).to_have_url(SPAN)


def test_the_errors_of_a_trace_are_found_by_its_id(tab: Tab, site: Site) -> None:
    page = tab.open(f"/errors?q={site.trace_id('message explode')}")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("nobody knows this operation")
    page = tab.open(f"/errors?q={'e' * 32}")
    expect(page.locator(".empty")).to_contain_text("No exception was recorded in the trace")
