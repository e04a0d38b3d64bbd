"""What pools of connections say of themselves, in the tests of each library that has some."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.packs.database.pools import pools

if TYPE_CHECKING:
    from collections.abc import Generator

    from support.captured import Captured

COUNT: Final = "db.client.connection.count"
NAME: Final = "db.client.connection.pool.name"
STATE: Final = "db.client.connection.state"


@contextmanager
def alone() -> Generator[None]:
    """Without the pools that other tests left behind."""
    gc.collect()
    pools().forget()
    yield
    pools().forget()


def counts(captured: Captured, name: str) -> dict[str, int]:
    """The connections of a pool by their state."""
    return {
        point.attributes[STATE]: point.value
        for point in captured.points(COUNT)
        if point.attributes[NAME] == name
    }


def number(captured: Captured, metric: str, name: str) -> Any:
    """The value of `db.client.connection.<metric>`; of a histogram how many; 0 when there is none."""
    for point in captured.points(f"db.client.connection.{metric}"):
        if point.attributes[NAME] == name:
            return point.value if hasattr(point, "value") else point.count
    return 0
