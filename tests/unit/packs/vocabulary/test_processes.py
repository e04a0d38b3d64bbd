"""The words and the analyses in processes that have no SDK, and in forks of one that is in the middle of something."""

from __future__ import annotations

import json
import os
import sys

import pytest
from support.children import environment, run

WORDS = """
import asyncio
from otel_kpi import AnalyticsInstrumentation, ETLInstrumentation, WebSocketInstrumentation, analytics, etl, websocket
from otel_kpi import get_instrumentation_health

processor = ETLInstrumentation.instrument_etl_processor()
end_timer = processor.time_operation("marketing", "validation")
processor.record_processed("marketing", "valid", 3)
processor.set_quality_score("marketing", 97)
end_timer()
engine = AnalyticsInstrumentation.instrument_analytics_engine()
engine.analysis_started("marketing")
engine.anomaly_detected("marketing", "rate", "zscore", "high")
engine.analysis_completed("marketing", "success")
AnalyticsInstrumentation.instrument_analysis_stage("marketing", "statistical", lambda: 7)
server = WebSocketInstrumentation.instrument_websocket_server()
server.client_connected()
server.event_published("kpi_update", "marketing")
server.client_disconnected()
with analytics.analysis("marketing") as analysis, analysis.stage("trend"):
    analytics.trend("marketing", "up")
with etl.run("marketing"), etl.stage("load") as stage:
    stage.written(3)
"""
NO_SDK = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("opentelemetry.sdk"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
"""


def test_without_an_sdk_everything_goes_on() -> None:
    program = NO_SDK + WORDS + "assert not any(name.startswith('opentelemetry.sdk') for name in sys.modules)"
    ended = run([sys.executable, "-c", program], environment())
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


FORK = """
import json, os, sys
from otel_kpi import ETLInstrumentation, analytics
from otel_kpi.record.holdings import tallies

def counted():
    return {tally.declaration.name: sum(value for _, value in tally.values) for tally in tallies() if tally.values}

end_timer = ETLInstrumentation.instrument_etl_processor().time_operation("marketing", "validation")
read, write = os.pipe()
with analytics.analysis("marketing"):
    child = os.fork()
end_timer()
said = json.dumps(counted())
if child == 0:
    os.write(write, said.encode())
    os._exit(0)
os.waitpid(child, 0)
print(json.dumps({"parent": counted(), "child": json.loads(os.read(read, 65536))}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_fork_in_the_middle_of_an_analysis_leaves_its_end_to_the_parent() -> None:
    ended = run([sys.executable, "-c", FORK], environment())
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["parent"]["kpi.analytics.analyses.completed"] == 1
    assert said["parent"]["kpi.analytics.analyses.active"] == said["parent"]["kpi.etl.processors.active"] == 0
    assert not any(said["child"].values()), said["child"]
