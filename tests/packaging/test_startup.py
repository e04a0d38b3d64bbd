"""Starting a process costs a fraction of what the stock distribution costs."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.environments import OTHERS, OURS
from benchmarks.startup import measure


@pytest.mark.timeout(600)  # the first run installs both environments
def test_empty_process_starts_in_a_fraction_of_the_stock_time() -> None:
    ours, stock = measure("pass", 2, (OURS, OTHERS[0]))
    share = statistics.median(ours.seconds) / statistics.median(stock.seconds)
    assert share < 0.75, f"{share:.2f} of stock; the figure is 0.25 (benchmarks/startup.py)"
