"""How much there is in a frame: what is there already, and nothing that would have to be computed."""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from support.children import environment, run

from otel_kpi.packs.etl.adapters import Volume, volume

ROWS: dict[str, Any] = {"email": ["a@x", "b@x", None], "age": [31, 42, 53]}


def test_frame_of_pandas_has_rows_bytes_and_cells() -> None:
    frame: Any = pd.DataFrame(ROWS)
    assert volume(frame) == Volume(3, int(frame.memory_usage(deep=False).sum()), 6)
    assert volume(frame["age"]) == Volume(3, int(frame["age"].memory_usage()), 3)


def test_frame_of_polars_has_rows_bytes_and_cells() -> None:
    frame = pl.DataFrame(ROWS)
    assert volume(frame) == Volume(3, int(frame.estimated_size()), 6)
    assert volume(frame["age"]) == Volume(3, int(frame["age"].estimated_size()), 3)


def test_lazy_frame_is_not_collected() -> None:
    collected: list[int] = []

    def noted(frame: pl.DataFrame) -> pl.DataFrame:
        collected.append(frame.height)
        return frame

    lazy = pl.DataFrame(ROWS).lazy().map_batches(noted)
    assert volume(lazy) == Volume()
    assert not collected
    assert lazy.collect().height == 3
    assert collected, "it would have been seen"


def test_class_that_derives_from_a_frame_is_one() -> None:
    class Facts(pd.DataFrame):
        """A subclass, as GeoDataFrame is."""

    assert volume(Facts(ROWS)).records == 3


def test_what_computes_its_length_is_not_asked() -> None:
    class QuerySet:
        def __len__(self) -> int:
            raise AssertionError("a statement would have been sent")

        def __iter__(self) -> Any:
            raise AssertionError("the same")

    assert volume(QuerySet()) == Volume()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (7, Volume(7)),
        (7.0, Volume(7)),
        ([1, 2], Volume(2)),
        ((), Volume(0)),
        ({"a": 1}, Volume(1)),
        ({1, 2, 3}, Volume(3)),
        (deque([1]), Volume(1)),
        (range(10**9), Volume(10**9)),
        (b"abc", Volume(bytes=3)),
        ("abc", Volume()),
        (None, Volume()),
        (True, Volume()),
        (float("nan"), Volume()),
        (iter([1]), Volume()),
        (np.zeros((4, 2)), Volume(4, 64, 8)),
        (np.float64(3.0), Volume(3)),
    ],
)
def test_anything_else_says_what_is_known_of_it(data: Any, found: Volume) -> None:
    assert volume(data) == found


def test_frame_that_breaks_says_nothing() -> None:
    class Broken(pd.DataFrame):
        def memory_usage(self, index: bool = True, deep: bool = False) -> Any:  # noqa: FBT001, FBT002, ARG002 - as it is
            raise MemoryError

    assert volume(Broken(ROWS)) == Volume()


def test_nothing_of_a_frame_library_is_imported() -> None:
    program = "import sys, otel_kpi.packs.etl.adapters as a; a.volume([1]); a.failed([]); a.task()\n"
    program += "assert not {'pandas', 'polars', 'numpy', 'pandera', 'celery', 'django'} & set(sys.modules)"
    ended = run([sys.executable, "-c", program], environment())
    assert ended.returncode == 0, ended.stderr
