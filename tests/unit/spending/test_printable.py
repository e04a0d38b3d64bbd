"""A name that somebody chose moves no cursor and makes no line."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from otel_kpi.spending.period import Period
from otel_kpi.spending.printable import printable, printable_json
from otel_kpi.spending.report import Counts, Report, Row
from otel_kpi.spending.text import as_csv, table

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = "a\nb\x00\x1b[2J\x9b31m\u202egro\u2028\U000e0041"
SHOWN = r"a\nb\x00\x1b[2J\x9b31m\u202egro\u2028\U000e0041"


def _report(tenant: str) -> Report:
    now = Counts(calls=2, tokens={"input": 3}, cost={"USD": Decimal(1)}, unpriced={"no_usage": 1})
    row = Row((tenant,), now, Counts(calls=1, tokens={"input": 3}, cost={"USD": Decimal(2)}))
    return Report(("tenant",), Period(0, 60), (row,), Row(("total",), row.now, row.before), {}, {}, ())


def test_what_cannot_be_seen_is_written_out() -> None:
    assert printable(HOSTILE) == SHOWN
    assert printable("Société «Ålesund» 東京") == "Société «Ålesund» 東京"


@pytest.mark.parametrize("written", [table, as_csv])
def test_a_hostile_tenant_is_a_row_like_another(written: Callable[[Report], str]) -> None:
    told, plain = written(_report(HOSTILE)), written(_report("acme"))
    assert SHOWN in told
    assert all(line.isprintable() for line in told.split("\n"))
    assert told.count("\n") == plain.count("\n")


def test_json_for_a_terminal_says_the_same() -> None:
    said = {"tenant": HOSTILE, "name": "Ålesund"}
    told = printable_json(json.dumps(said, indent=2, ensure_ascii=False))
    assert json.loads(told) == said
    assert "Ålesund" in told
    assert all(line.isprintable() for line in told.split("\n"))
