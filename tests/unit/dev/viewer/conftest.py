from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient
from support.dev import hostile, samples

from otel_kpi.dev.app import make_app
from otel_kpi.dev.state import Dev
from otel_kpi.dev.store import Store
from otel_kpi.dev.store.reading.traces import StoredTraces

if TYPE_CHECKING:
    from collections.abc import Generator

    from starlette.testclient import TestClient as Client


@dataclass
class Pages:
    """The pages over a real store of a small day and of what nobody should send."""

    client: Client
    store: Store

    def trace_id(self, condition: str, *values: object) -> str:
        """Of the newest trace of which a condition holds; `t` is the trace, `s` its root's name, `n` a span's."""
        row = (
            self.store.reader()
            .execute(
                "SELECT t.trace_id FROM trace t LEFT JOIN str s ON s.id = t.root_name JOIN span p ON p.trace = t.id"
                f" JOIN str n ON n.id = p.name WHERE {condition} ORDER BY t.id DESC LIMIT 1",
                values,
            )
            .fetchone()
        )
        return row[0].hex()

    def span_id(self, trace_id: str, name: str) -> str:
        row = (
            self.store.reader()
            .execute(
                "SELECT p.span_id FROM span p JOIN trace t ON t.id = p.trace JOIN str n ON n.id = p.name"
                " WHERE t.trace_id = ? AND n.s LIKE ? LIMIT 1",
                (bytes.fromhex(trace_id), name),
            )
            .fetchone()
        )
        return row[0].hex()


@pytest.fixture(scope="package")
def pages() -> Generator[Pages]:
    store = Store(None, most_seconds=1e12)
    store.write([*samples.requests(1_500, seed=3)])
    for request in (*hostile.everywhere(), hostile.cycle(), hostile.duplicates(), hostile.orphans(), hostile.skewed(), hostile.large()):  # fmt: skip
        store.write([request])
    dev = Dev(traces=StoredTraces(store), store=store, address="http://127.0.0.1:4318")
    with TestClient(make_app(dev), base_url="http://127.0.0.1:4318") as client:
        yield Pages(client, store)
    store.close()
