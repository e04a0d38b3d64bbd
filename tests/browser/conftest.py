"""A real browser over a real server. Pictures of what it saw go where `OTEL_KPI_SCREENSHOTS` says, else nowhere."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright
from support.browser import Site, Tab
from support.dev import hostile, recorded, samples
from support.dev.served import served

if TYPE_CHECKING:
    from collections.abc import Generator

    from playwright.sync_api import Browser, ConsoleMessage

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
SPANS = 2_000
LARGE = (2_000, 5_000)
# A machine that builds beside it may take seconds for a page; the figures are asserted where they are promised.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def demo() -> Generator[Site]:
    """What the example systems sent a moment ago."""
    with served() as server:
        for signal, body in recorded.bodies():
            answer = server.post(f"/v1/{signal}", body, "application/json")
            assert answer.status == 200, answer.body
        yield Site(server)


@pytest.fixture(scope="session")
def day() -> Generator[Site]:
    """A day of a shop, after what nobody should send and two large traces."""
    with served() as server:
        store = server.store
        begin = time.time_ns() - 200 * 10**9
        for number, spans in enumerate(LARGE):
            store.write([*hostile.long_trace(spans, seed=number)])
        for request in (*hostile.everywhere(), hostile.cycle(), hostile.duplicates(), hostile.orphans()):
            store.write([request])
        large = store.reader().execute("SELECT trace_id FROM trace ORDER BY spans DESC LIMIT 2").fetchall()
        store.write([*samples.requests(SPANS, seed=5, start_ns=begin)])
        yield Site(server, [row[0].hex() for row in large[::-1]])


@pytest.fixture
def fresh() -> Generator[Site]:
    """Nothing yet; what a test sends comes here alone."""
    with served() as server:
        yield Site(server)


@pytest.fixture
def site(demo: Site) -> Site:
    """What a test looks at, unless its module says otherwise."""
    return demo


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """For one module: while Playwright runs, its event loop is that of the main thread, and no test has its own."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Debian's chromium is not installed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def tab(browser: Browser, site: Site, request: pytest.FixtureRequest) -> Generator[Tab]:
    """A tab of 1280 pixels; `@pytest.mark.parametrize("tab", [("light", 380)], indirect=True)` is another."""
    theme, width = getattr(request, "param", ("dark", 1280))
    context = browser.new_context(
        viewport={"width": width, "height": 820}, color_scheme=theme, timezone_id="Europe/Berlin"
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    tab = Tab(page, site.url, re.sub(r"\W+", "-", request.node.name).strip("-"))

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            tab.complaints.append(f"{message.text} {message.location.get('url', '')}".strip())

    page.on("console", heard)
    page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    yield tab
    executed = tab.page.evaluate("window.__executed")
    context.close()
    assert not tab.complaints
    assert executed is None, "text of a span was run"
