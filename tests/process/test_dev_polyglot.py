"""Senders in other languages, by OpenTelemetry's SDKs of Go and JavaScript, are one trace with Python's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.children import BIN, environment, run

from otel_kpi.dev.store.reading.traces import StoredTraces
from otel_kpi.dev.stores import ReadStore
from otel_kpi.dev.views import TraceQuery

SOURCES = Path(__file__).parents[1] / "apps" / "polyglot"

PARENT = """
import os, subprocess, sys
from opentelemetry import trace
with trace.get_tracer("polyglot").start_as_current_span("python") as span:
    context = span.get_span_context()
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
    for command in (["./app"], ["node", "main.js"]):
        subprocess.run(command, env=os.environ | {"TRACEPARENT": parent}, check=True, timeout=60)
"""


@pytest.mark.proof
@pytest.mark.network
@pytest.mark.timeout(900)  # both are fetched, and Go's is compiled
def test_spans_of_go_and_javascript_stand_beside_those_of_python(tmp_path: Path) -> None:
    for folder in ("go", "javascript"):
        shutil.copytree(SOURCES / folder, tmp_path, dirs_exist_ok=True)
    subprocess.run(["go", "build", "-o", "app", "."], cwd=tmp_path, check=True)
    install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(install, cwd=tmp_path, check=True)
    (tmp_path / "parent.py").write_text(PARENT)
    done = run(
        [str(BIN / "otel-kpi"), "dev", "--port=0", "--store=dev.db", "--", "python", "parent.py"],
        environment(OTEL_SERVICE_NAME="in-python", HOME=os.environ["HOME"]),
        tmp_path,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr

    traces = StoredTraces(store := ReadStore(tmp_path / "dev.db"))
    (summary,) = traces.search(TraceQuery()).traces
    assert {count.service: count.spans for count in summary.services} == {
        "in-python": 1,
        "in-go": 2,
        "in-javascript": 3,
    }
    trace = traces.trace(summary.trace_id)
    assert trace is not None
    spans = {span.name: span for span in trace.spans}
    assert set(spans) == {
        "python",
        "go over http",
        "go over grpc",
        "javascript as json",
        "javascript as protobuf",
        "javascript over grpc",
    }
    root = spans.pop("python")
    for span in spans.values():
        assert span.parent_id == root.span_id
        assert dict(span.attributes) == {"text": "ä ☃ 😀", "numbers": [0.5, 2]}
        assert root.start_ns <= span.start_ns
    assert store.reader().execute("SELECT count(*) FROM metric WHERE name = 'go.sent'").fetchone() == (1,)
    store.close()
