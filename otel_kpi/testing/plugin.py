"""The plugin of pytest: the fixture `otel_kpi_capture`, and `pytest --otel-kpi`.

pytest imports this in every project of an environment, so it imports nothing but pytest before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from otel_kpi.testing.capturing import Capture

_CAPTURED: Final = pytest.StashKey["Capture"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("otel-kpi", "traces of tests")
    group.addoption(
        "--otel-kpi",
        action="store_true",
        help="keep the traces of failed tests, for otel-kpi view",
    )
    group.addoption(
        "--otel-kpi-store",
        metavar="FILE",
        help="where they are kept; default: .otel-kpi/dev.db below of pytest's root",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have the traces of failed tests kept where that was asked for."""
    if config.getoption("otel_kpi"):
        from otel_kpi.testing.keeping import Keeper
        from otel_kpi.testing.listening import attend

        # Before test modules import what is instrumented.
        attend()
        config.pluginmanager.register(Keeper(config), "otel-kpi-keeper")


@pytest.fixture
def otel_kpi_capture(request: pytest.FixtureRequest) -> Generator[Capture]:
    """What this test records: spans, statements, cost, metrics, log records; see docs/testing.md."""
    from otel_kpi.testing.capturing import capture as captured_by

    with captured_by() as captured:
        request.node.stash[_CAPTURED] = captured
        yield captured


@pytest.fixture
def capture(otel_kpi_capture: Capture) -> Capture:
    """`otel_kpi_capture` by a shorter name; a fixture of a project's own that is called so wins."""
    return otel_kpi_capture


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Put what a failed test recorded below of its failure."""
    report = yield
    captured = item.stash.get(_CAPTURED, None)
    if captured is not None and report.failed:
        try:
            report.sections.append(("otel-kpi: what this test recorded", str(captured)))
        except Exception as error:  # the failure of the test is what matters
            report.sections.append(("otel-kpi", f"what this test recorded cannot be shown: {error!r}"))
    return report
