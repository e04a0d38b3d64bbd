"""Which paths leave no trace by their looks, before anybody knows where they lead."""

from __future__ import annotations

import re

import pytest

from otel_kpi.endpoints import ENDPOINTS
from otel_kpi.instrumentation.servers.excluded_urls import DEFAULT


@pytest.mark.parametrize("path", [each.path for each in ENDPOINTS if each.name != "monitoring"])
def test_probes_and_scrapes_leave_none(path: str) -> None:
    for url in (f"http://shop.test{path}", f"http://shop.test:80{path}/", f"https://shop.test{path}?a=b"):
        assert re.search(DEFAULT, url)


@pytest.mark.parametrize(
    "path",
    [
        "/api/health/records",
        "/api/metrics",
        "/api/metrics/7",
        "/api/healthy-food",
        "/articles/health",
        "/monitoring",
    ],
)
def test_what_an_application_may_have_itself_is_traced(path: str) -> None:
    assert not re.search(DEFAULT, f"http://shop.test{path}")


def test_it_is_one_expression() -> None:
    assert "," not in DEFAULT
