"""The pictures of the documentation, taken of the pages as they are: `make pictures` keeps them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from support.browser import Site, Tab

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
LIGHT: Final = 250_000
"""Bytes of a picture in the README at most."""
KEPT: Final = os.environ.get("OTEL_KPI_PICTURES") == "keep"


@pytest.mark.parametrize("tab", [("dark", 1280)], indirect=True)
def test_the_readme_shows_the_page(tab: Tab, site: Site, tmp_path: Path) -> None:
    page = tab.open(site.pages()["span"])
    expect(page.locator("#pane")).to_contain_text("Tokens in")
    expect(page.locator("#waterfall .r.chosen")).to_be_in_viewport()
    folder = IMAGES if KEPT else tmp_path
    folder.mkdir(exist_ok=True)
    taken = folder / "trace.png"
    page.screenshot(path=taken)
    assert taken.stat().st_size < LIGHT
    readme = (IMAGES.parents[1] / "README.md").read_text(encoding="utf-8")
    assert "docs/images/trace.png" in readme
    assert (IMAGES / "trace.png").is_file()
