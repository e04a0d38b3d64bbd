"""Every page as it is opened: it fits, complains of nothing, and can be read by who sees it in another way."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import pytest
from playwright.sync_api import expect
from support.dev.pages import PAGES

if TYPE_CHECKING:
    from support.browser import Site, Tab

AXE: Final = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
ALIKE: Final = (
    "tbody tr:nth-child(n+5)",
    ".arrival:nth-child(n+5)",
    ".log:nth-child(n+5)",
    ".r:nth-child(n+9)",
    ".meter-group:nth-of-type(n+4)",
    ".chart a:nth-of-type(n+9)",
)
"""Rows like those before them."""
MISSING: Final = {
    f"/traces/{'f' * 32}": "No such trace",
    "/errors/999999": "No such error",
    "/pipelines/nothing": "No such run",
}


def problems(tab: Tab, *, whole: bool = False) -> list[str]:
    """What axe-core finds on the page, each with the first place where.

    The policy of the pages holds meanwhile: axe-core comes by the protocol of the browser's debugger, not as a script.

    Args:
        tab: The page is open in it.
        whole: Look at every row of a long list, which takes seconds.
    """
    tab.page.evaluate(AXE)
    where = "document" if whole else f"{{exclude: {[[each] for each in ALIKE]}}}"
    answer: dict[str, Any] = tab.page.evaluate(f"axe.run({where}, {{resultTypes: ['violations']}})")
    return [
        f"{each['impact']}: {each['id']}, {len(each['nodes'])} times: {each['nodes'][0]['html'][:200]}: {each['nodes'][0]['failureSummary'][:400]}"
        for each in answer["violations"]
    ]


def look(tab: Tab, pages: dict[str, str], *, axe: bool, whole: bool = False) -> None:
    wrong: dict[str, Any] = {}
    for name, path in pages.items():
        tab.open(path)
        tab.picture(name, whole=True)
        expect(tab.page.get_by_role("main")).to_have_count(1)
        expect(tab.page.locator("h1")).to_have_count(1)
        if wide := tab.too_wide():
            wrong[f"{name} is wider than its window"] = wide
        if axe and (found := problems(tab, whole=whole)):
            wrong[name] = found
    assert not wrong


@pytest.mark.parametrize("tab", [("dark", 1280)], indirect=True, ids=["dark-1280"])
def test_every_page_fits_and_axe_finds_nothing(tab: Tab, site: Site) -> None:
    look(tab, site.pages(), axe=True)


@pytest.mark.parametrize("tab", [("light", 380)], indirect=True, ids=["light-380"])
def test_every_page_fits_a_telephone(tab: Tab, site: Site) -> None:
    look(tab, site.pages(), axe=False)


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "tab",
    [("dark", 1280), ("light", 1280), ("dark", 380), ("light", 380)],
    indirect=True,
    ids=lambda size: f"{size[0]}-{size[1]}",
)
def test_every_page_fits_and_axe_finds_nothing_in_each_theme_and_size(tab: Tab, site: Site) -> None:
    look(tab, site.pages(), axe=True, whole=True)


@pytest.mark.parametrize("tab", [("light", 380)], indirect=True, ids=["light-380"])
def test_an_empty_page_says_what_to_run(tab: Tab, fresh: Site) -> None:
    for path in PAGES:
        page = tab.at(fresh).open(path)
        said = page.locator(".empty")
        expect(said.locator("pre.command")).to_contain_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={fresh.url}")
        expect(said).to_contain_text("Nothing was received")
        assert tab.too_wide() <= 0, path
        tab.picture(path.strip("/") or "live")
    assert not problems(tab)


def test_what_is_not_there_is_said_with_a_way_on(tab: Tab) -> None:
    for path, said in MISSING.items():
        page = tab.open(path)
        expect(page.locator("h1, h2").filter(has_text=said)).to_be_visible()
        expect(page.locator("main a").first).to_be_visible()
        tab.complained("status of 404")


def test_what_the_security_policy_refuses_would_fail_a_test(tab: Tab) -> None:
    page = tab.open("/traces")
    page.evaluate(
        "document.head.append(Object.assign(document.createElement('style'), {textContent: 'p{}'}))"
    )
    tab.complained("Content Security Policy")
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/x'}))"
    )
    tab.complained("Content Security Policy")
