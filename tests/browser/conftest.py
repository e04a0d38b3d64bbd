"""A real browser over a real server. Pictures of what it saw go where `OTEL_KPI_SCREENSHOTS` says, else nowhere."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from playwright.sync_api import expect, sync_playwright
from support.dev import hostile, samples

from otel_kpi.dev.app import make_app
from otel_kpi.dev.state import Dev
from otel_kpi.dev.store import Store
from otel_kpi.dev.store.reading.traces import StoredTraces

if TYPE_CHECKING:
    from collections.abc import Generator

    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
SPANS = 2_000
LARGE = (5_000, 6_000)
# A machine that builds beside it may take seconds for a page; the figures are asserted where they are promised.
expect.set_options(timeout=20_000)


@dataclass
class Site:
    """The pages as somebody sees them.

    Attributes:
        large: Ids of traces of `LARGE` spans.
    """

    url: str
    store: Store
    large: list[str]

    def trace_id(self, root: str, condition: str = "1") -> str:
        """Of the newest trace whose root has that name."""
        return (
            self.store.reader()
            .execute(
                f"SELECT t.trace_id FROM trace t JOIN str s ON s.id = t.root_name WHERE s.s LIKE ? AND {condition} ORDER BY t.id DESC LIMIT 1",
                (root,),
            )
            .fetchone()[0]
            .hex()
        )


@pytest.fixture(scope="session")
def site() -> Generator[Site]:
    """A store with a day of a shop, what nobody should send, and two large traces; served from a thread."""
    store = Store(None, most_seconds=1e12)
    begin = time.time_ns() - 200 * 10**9
    for number, spans in enumerate(LARGE):
        store.write([*hostile.long_trace(spans, seed=number)])
    for request in (*hostile.everywhere(), hostile.cycle(), hostile.duplicates(), hostile.orphans()):
        store.write([request])
    large = [
        row[0].hex()
        for row in store.reader().execute("SELECT trace_id FROM trace ORDER BY spans DESC LIMIT 2")
    ]
    store.write([*samples.requests(SPANS, seed=5, start_ns=begin)])
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = make_app(Dev(traces=StoredTraces(store), store=store, address=url))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield Site(url, store, large[::-1])
    server.should_exit = True
    thread.join(10)
    listening.close()
    store.close()


@pytest.fixture(scope="session")
def browser() -> Generator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("Debian's chromium is not installed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@dataclass
class Tab:
    """A tab; what its console complained of fails the test.

    Attributes:
        name: Of its test, in the names of pictures.
    """

    page: Page
    url: str
    name: str
    complaints: list[str] = field(default_factory=list[str])

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def picture(self, what: str) -> None:
        """Keep what is seen, outside of the repository."""
        folder = os.environ.get("OTEL_KPI_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{self.name}-{what}.png")

    def too_wide(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")


@pytest.fixture
def tab(browser: Browser, site: Site, request: pytest.FixtureRequest) -> Generator[Tab]:
    """A tab of 1280 pixels; `@pytest.mark.parametrize("tab", [("light", 380)], indirect=True)` is another."""
    theme, width = getattr(request, "param", ("dark", 1280))
    context = browser.new_context(viewport={"width": width, "height": 820}, color_scheme=theme)
    context.set_default_timeout(30_000)
    page = context.new_page()
    tab = Tab(page, site.url, re.sub(r"\W+", "-", request.node.name).strip("-"))

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            tab.complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    yield tab
    executed = page.evaluate("window.__executed")
    context.close()
    assert not tab.complaints
    assert executed is None, "text of a span was run"
