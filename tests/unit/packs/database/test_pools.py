"""However many pools there are, their names keep to the budget, and no connection is lost from the sums."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest
from support.measured import Measured, measured

from otel_kpi.packs.database import connections_in_use
from otel_kpi.packs.database.instruments import MOST_POOLS
from otel_kpi.packs.database.pools import Pool, Usage, pools

if TYPE_CHECKING:
    from collections.abc import Generator

COUNT, LABEL = "db_client_connection_count", "db_client_connection_pool_name"


@pytest.fixture
def series() -> Generator[Measured]:
    pools().forget()
    with measured() as made:
        yield made
    pools().forget()


class Driver:
    """A pool of some library."""


def one(_driver: object, _noted: Pool) -> Usage:
    return Usage(used=1, idle=2, most=3, pending=0)


def test_a_hundred_thousand_names_are_fifty_and_other(
    series: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    number = 100_000
    drivers = [Driver() for _ in range(number)]
    for index, driver in enumerate(drivers):
        pools().add(driver, f"tenant-{index}", one)
    points = series.points(COUNT)
    names = {dict(labels)[LABEL] for labels in points}
    assert len(names) == MOST_POOLS + 1
    assert "other" in names
    used = [
        point.value for labels, point in points.items() if ("db_client_connection_state", "used") in labels
    ]
    assert sum(used) == number
    assert series.value("db_client_connection_max", **{LABEL: "other"}) == 3 * (number - MOST_POOLS)
    overflowed = series.value(
        "otel_kpi_overflowed_values_total",
        instrument="db.client.connection.count",
        attribute="db.client.connection.pool.name",
    )
    assert overflowed == number - MOST_POOLS
    assert len([each for each in caplog.records if "db.client.connection" in each.getMessage()]) == 1


def test_names_of_pools_that_took_and_gave_are_within_the_same_budget(series: Measured) -> None:
    drivers = [Driver() for _ in range(200)]
    for index, driver in enumerate(drivers):
        noted = pools().add(driver, f"tenant-{index}", one)
        noted.got(0.001)
        noted.timed_out()
        noted.created(0.001)
    for name in ("wait_time_seconds", "create_time_seconds", "timeouts_total"):
        points = series.points(f"db_client_connection_{name}")
        assert len(points) == MOST_POOLS + 1
    assert series.value("db_client_connection_wait_time_seconds", **{LABEL: "other"})[0] == 200 - MOST_POOLS


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("orders", "orders"),
        ("db:5432/shop", "db:5432/shop"),
        ("postgresql://clerk:hunter2@db:5432/shop", "db:5432/shop"),
        ("postgresql://clerk:hun@ter2@db/shop", "db/shop"),
        ("host=db user=clerk password=hunter2", "unknown"),
        ("DRIVER={SQL Server};UID=clerk;PWD=hunter2", "unknown"),
    ],
)
def test_no_name_has_a_user_or_a_password(series: Measured, given: str, said: str) -> None:
    driver = Driver()
    pools().add(driver, given, one)
    assert {dict(labels)[LABEL] for labels in series.points(COUNT)} == {said}


def test_a_pool_that_raises_costs_its_own_figures_alone(series: Measured) -> None:
    def broken(_driver: object, _noted: Pool) -> Usage:
        raise RuntimeError

    good, bad = Driver(), Driver()
    pools().add(good, "good", one)
    pools().add(bad, "bad", broken)
    assert {dict(labels)[LABEL] for labels in series.points(COUNT)} == {"good"}


def test_a_limit_is_said_where_every_pool_of_the_name_has_one(series: Measured) -> None:
    bounded, unbounded = Driver(), Driver()
    pools().add(bounded, "mixed", one)
    assert series.value("db_client_connection_max", **{LABEL: "mixed"}) == 3
    pools().add(unbounded, "mixed", lambda _driver, _noted: Usage(used=5))
    assert series.value("db_client_connection_max", **{LABEL: "mixed"}) is None
    assert series.value(COUNT, **{LABEL: "mixed", "db_client_connection_state": "used"}) == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # from 3.12 on of every fork beside a thread
def test_a_forked_child_tells_of_no_pool_of_its_parents(series: Measured) -> None:
    del series
    driver = Driver()
    pools().add(driver, "parents", one)
    assert connections_in_use() == 1
    pid = os.fork()
    if pid == 0:
        os._exit(3 if connections_in_use() is None and pools().get(driver) is None else 4)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_nothing_is_known_of_no_pool(series: Measured) -> None:
    assert pools().connections_in_use() is None
    assert series.labels(COUNT) == set()
