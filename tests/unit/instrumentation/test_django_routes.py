"""A route of Django's is readable and the same for every request, however it was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_kpi.instrumentation.servers.django_routes import readable


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("admin/login/", "admin/login/"),
        ("boom/<int:number>/", "boom/<int:number>/"),
        ("api/canonical/0/projects/$", "api/canonical/0/projects/"),
        ("^api/projects/(?P<pk>[^/.]+)/$", "api/projects/<pk>/"),
        (r"^projects\.(?P<format>[a-z0-9]+)/?$", "projects.<format>/"),
        (r"^a/(?P<year>[0-9]{4})/(?P<slug>(x|y)\w+)/\Z", "a/<year>/<slug>/"),
        (r"^b/(\d+)/((x|y)[)(]\))/$", "b/<var>/<var>/"),
        (r"^b/\d{4}-\d+/.*$", "b/<var>-<var>/<var>"),
        (r"^c/(?:en|de)?d/(?i:x)[]a-z]+$", "c/d/<var>"),
        (r"shop/<int:shop>/^items/(?P<pk>\d+)$", "shop/<int:shop>/items/<pk>"),
        (r"^favicon.ico$", "favicon.ico"),
        (r"^open/(?P<a>[^", "open/<a>"),
        ("^\\", ""),
    ],
)
def test_regular_expression_is_read_as_a_path(written: str, read: str) -> None:
    assert readable(written) == read
    assert readable(read) == read


@given(st.text("^$\\()[]{}?P<a>.*+/d0,", max_size=40))
def test_any_text_has_a_reading(text: str) -> None:
    assert len(readable(text)) <= 5 * len(text)
