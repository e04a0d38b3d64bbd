"""Which spans are statements: the list, the trace, the terminal and tests count the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.dev.asked import filled, span, spans

from otel_kpi.dev.statements import statement_of
from otel_kpi.dev.store.reading.traces import StoredTraces
from otel_kpi.dev.terminal.gathering import Gathered
from otel_kpi.dev.viewer import waterfall
from otel_kpi.dev.views import TraceQuery

if TYPE_CHECKING:
    from pathlib import Path

    from otel_kpi.dev.telemetry import Value

SYSTEM = "db.system.name"
ASKED = ("SELECT 1", "  select\n2 ", "BEGINNING", "")
BESIDE = ("BEGIN", "BEGIN;", "commit;", "ROLLBACK", "BEGIN IMMEDIATE")


@pytest.mark.parametrize("text", [*ASKED, *BESIDE])
def test_connecting_and_the_bounds_of_transactions_are_no_statements(text: str) -> None:
    assert (statement_of("shop", {SYSTEM: "sqlite", "db.query.text": text}) is not None) is (text in ASKED)
    assert statement_of("connect", {SYSTEM: "sqlite"}) is None
    assert statement_of("SELECT", {"db.query.text": text}) is None


def test_every_place_counts_the_same_statements(tmp_path: Path) -> None:
    root = span({}, name="GET /orders")
    texts: list[dict[str, Value]] = [
        {"db.system": "sqlite", "db.statement": text} for text in (*ASKED, *BESIDE)
    ]
    sent = [root, *(span(said, name="shop", parent=root) for said in texts)]
    gathered = Gathered(root.trace_id.hex(), 0, 0)
    for each in sent:
        gathered.take("shop", each)
    with filled(tmp_path / "dev.db", [spans(*sent)]) as store:
        traces = StoredTraces(store)
        [listed] = traces.search(TraceQuery()).traces
        shown = traces.trace(listed.trace_id)
    assert shown is not None
    rows = waterfall.lay_out(shown, fold=False).rows
    assert listed.statements == gathered.statements == sum(row.statement for row in rows) == len(ASKED)
