"""Paths that are not traced unless the user says otherwise: health probes and metric scrapes."""

from __future__ import annotations

import os
from typing import Final

DEFAULT: Final = (
    r"^\w+://[^/]*/(?:-/)?(?:health(?:[_-]?check|z|y)?|livez|readyz|liveness|readiness|metrics)(?:/|$|\?)"
)
"""One regular expression over the whole URL, without a comma, which would part it in two.

It holds at the root of the host only: `/articles/health` is an article.
"""


def excluded_urls(instrumentation: str) -> str | None:
    """Give upstream's `excluded_urls` argument of an instrumentation.

    Args:
        instrumentation: Its name in `OTEL_PYTHON_<NAME>_EXCLUDED_URLS`, for example `"FASTAPI"`.

    Returns:
        Our default, or `None` when the user set a list, even an empty one: upstream reads it then.
    """
    names = (f"OTEL_PYTHON_{instrumentation}_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS")
    return None if any(name in os.environ for name in names) else DEFAULT
