"""What a test does with a page of a real browser."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from otel_kpi.dev.store import Store
    from support.dev.served import Served

EVERY_SIZE: Final = pytest.mark.parametrize(
    "tab",
    [("dark", 1280), ("light", 1280), ("dark", 380), ("light", 380)],
    indirect=True,
    ids=lambda size: f"{size[0]}-{size[1]}",
)
"""Theme, and width in pixels."""


@dataclass
class Site:
    """The pages as somebody sees them.

    Attributes:
        large: Ids of traces of `LARGE` spans.
    """

    server: Served
    large: list[str] = field(default_factory=list[str])

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def store(self) -> Store:
        return self.server.store

    def one(self, statement: str, *values: object) -> str:
        """The first value that the store has; bytes as hexadecimal."""
        found = self.store.reader().execute(statement, values).fetchone()
        assert found is not None, statement
        return found[0].hex() if isinstance(found[0], bytes) else str(found[0])

    def pages(self) -> dict[str, str]:
        """Every page there is, by name, with its address on the data of the example systems."""
        asked = self.trace_id("POST api/v1/sessions/<uuid:session>/plan", "llm_calls > 0")
        bought = self.trace_id("POST /checkout", "errors > 0")
        call = self.one(
            "SELECT span_id FROM span JOIN llm_call ON llm_call.span = span.id JOIN trace ON trace.id = span.trace "
            "WHERE trace_id = ? ORDER BY cost DESC LIMIT 1",
            bytes.fromhex(asked),
        )
        run = self.one("SELECT span.id FROM span JOIN str ON str.id = name WHERE s = 'run marketing' LIMIT 1")
        problem = self.one("SELECT id FROM problem ORDER BY times DESC LIMIT 1")
        counter, histogram = (
            self.one("SELECT id FROM metric WHERE name = ? LIMIT 1", name)
            for name in ("kpi.etl.records.processed", "http.server.request.duration")
        )
        return {
            "live": "/",
            "traces": "/traces",
            "trace": f"/traces/{bought}",
            "span": f"/traces/{asked}?span={call}",
            "statistics": f"/traces/{bought}?view=statistics",
            "trace-logs": f"/traces/{bought}?view=logs",
            "compare": f"/compare?a={asked}&b={bought}",
            "map": "/map",
            "llm": "/llm",
            "pipelines": "/pipelines",
            "run": f"/pipelines/{run}",
            "errors": "/errors",
            "error": f"/errors/{problem}",
            "instruments": "/instruments",
            "counter": f"/instruments/{counter}",
            "histogram": f"/instruments/{histogram}",
            "logs": "/logs",
            "telemetry": "/telemetry",
            "help": "/help",
        }

    def trace_id(self, root: str, condition: str = "1") -> str:
        """Of the newest trace whose root has that name."""
        return self.one(
            f"SELECT t.trace_id FROM trace t JOIN str s ON s.id = t.root_name WHERE s.s LIKE ? AND {condition} ORDER BY t.id DESC LIMIT 1",
            root,
        )


@dataclass
class Tab:
    """A tab; what its console complains of fails the test.

    Attributes:
        name: Of its test, in the names of pictures.
        complaints: Errors, warnings, what the security policy refused, answers that could not be had.
    """

    page: Page
    url: str
    name: str
    complaints: list[str] = field(default_factory=list[str])

    def at(self, site: Site) -> Tab:
        """Look at another site from now on."""
        self.url = site.url
        return self

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def picture(self, what: str, *, whole: bool = False) -> None:
        """Keep what is seen, outside of the repository."""
        folder = os.environ.get("OTEL_KPI_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{self.name}-{what}.png", full_page=whole)

    def too_wide(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")

    def complained(self, pattern: str) -> None:
        """What is known to be complained of, and was."""
        heard = [text for text in self.complaints if re.search(pattern, text)]
        assert heard, f"nothing like {pattern!r} in {self.complaints}"
        self.complaints = [text for text in self.complaints if text not in heard]
