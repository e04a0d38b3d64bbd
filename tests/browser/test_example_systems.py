"""The example systems as `make demo` runs them: what the other tests look at is what they send, and every page has it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import expect
from support.children import BIN, environment, free_port, get, running, stop
from support.dev import recorded
from support.dev.pages import PAGES

from otel_kpi.dev.stores import ReadStore

if TYPE_CHECKING:
    from pathlib import Path

    from support.browser import Site, Tab

QUESTIONS: Final = {
    "services": "SELECT name FROM service",
    "spans": "SELECT DISTINCT service.name, s FROM operation JOIN service ON service.id = service JOIN str ON str.id = operation.name",
    "models": "SELECT DISTINCT s FROM llm_call JOIN str ON str.id = model",
    "problems": "SELECT DISTINCT type, message FROM problem",
    "instruments": "SELECT DISTINCT name, kind, unit FROM metric",
}
BY_CHANCE: Final = 0.05
"""Share of the instruments that a short run may lack: of a client that comes again, of a run that takes minutes."""


@pytest.mark.proof
@pytest.mark.timeout(560)
def test_what_is_recorded_is_what_the_example_systems_send(tab: Tab, site: Site, tmp_path: Path) -> None:
    said = recorded.demo(tmp_path, seconds=60, port=free_port())
    print(said)
    store = ReadStore(tmp_path / "demo.db")
    for what, question in QUESTIONS.items():
        before = set(site.store.reader().execute(question).fetchall())
        now = set(store.reader().execute(question).fetchall())
        print(what, len(before), "recorded;", "sent beside them:", sorted(now - before))
        lacking = BY_CHANCE * len(before) if what == "instruments" else 0
        assert len(before - now) <= lacking, f"{what} that nobody sends any more: {sorted(before - now)}"
    [(problem,)] = store.reader().execute("SELECT id FROM problem ORDER BY times DESC LIMIT 1").fetchall()
    store.close()

    port = free_port()
    view = [str(BIN / "otel-kpi"), "view", str(tmp_path / "demo.db"), "--port", str(port)]
    with running(view, environment()) as process:
        tab.url = f"http://127.0.0.1:{port}"
        assert get(f"{tab.url}/api/services") == 200
        page = tab.page
        for path in PAGES[1:]:
            tab.open(path)
            tab.picture(path.strip("/"), whole=True)
            expect(page.locator(".empty")).to_have_count(0)
        tab.open("/llm")
        calls = page.locator(".figure", has=page.get_by_text("Calls", exact=True)).locator("dd").inner_text()
        assert int(re.sub(r"\D", "", calls.split()[0])) == said["llm_calls"]
        tab.open(f"/errors/{problem}").get_by_role("link", name="Trace", exact=True).click()
        expect(page.locator("#pane")).to_be_visible()
        stop(process)
