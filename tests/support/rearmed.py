"""Instrumentors that are put in place anew for a part of a test, and once more after it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def rearmed() -> Generator[None]:
    """Have them read the environment of now; afterwards that of then."""
    instrumentation.uninstall()
    instrumentation.install()
    try:
        yield
    finally:
        instrumentation.uninstall()
        instrumentation.install()


@contextmanager
def disarmed() -> Generator[None]:
    """Take them back."""
    instrumentation.uninstall()
    try:
        yield
    finally:
        instrumentation.install()
