"""The series of an older system in whole processes: when they begin, after a fork, and where they are shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.children import RUN, environment, run
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "innatural_chatbot"
ATTRIBUTES = '{"http.request.method": "GET", "http.route": "/chat", "http.response.status_code": 200}'
PARENT_AND_CHILD = f"""
import os, sys
assert "otel_kpi.packs.chat" not in sys.modules
from opentelemetry import metrics
duration = metrics.get_meter("app").create_histogram("http.server.request.duration", "s")
def answer(times):
    for _ in range(times):
        duration.record(0.2, {ATTRIBUTES})
answer(1)
pid = os.fork()
if pid == 0:
    answer(3)
    import otel_kpi
    otel_kpi.flush()
    os._exit(0)
os.waitpid(pid, 0)
answer(1)
"""
EXPOSED = f"""
import prometheus_client
from opentelemetry import metrics
from otel_kpi import exposition
prometheus_client.Counter("jobs_total", "Jobs.").inc(3)
metrics.get_meter("app").create_histogram("http.server.request.duration", "s").record(0.2, {ATTRIBUTES})
exposition.metrics(None)
print(exposition.metrics(None).body.decode())
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def _start(tmp_path: Path, receiver: Receiver, text: str, **variables: str) -> str:
    path = tmp_path / "program.py"
    path.write_text(text)
    ended = run([*RUN, sys.executable, str(path)], environment(receiver.url, **variables))
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def _last(receiver: Receiver, metric: str) -> dict[str, Any]:
    """The last value of a metric by instance."""
    found: dict[str, Any] = {}
    for point in receiver.points:
        if point.metric == metric:
            item = point.item
            value = item.count if hasattr(item, "count") else item.as_int or item.as_double
            found[point.resource["service.instance.id"]] = value
    return found


def test_a_child_counts_from_its_fork_and_nothing_is_imported_before_the_first_request(
    tmp_path: Path, receiver: Receiver
) -> None:
    _start(tmp_path, receiver, PARENT_AND_CHILD, OTEL_SERVICE_NAME="chat-fork", OTEL_KPI_CHAT_PREFIX=PREFIX)
    assert sorted(_last(receiver, f"{PREFIX}.http.requests").values()) == [2, 3]
    assert sorted(_last(receiver, f"{PREFIX}.http.request.duration").values()) == [2, 3]
    assert sorted(_last(receiver, "http.server.request.duration").values()) == [2, 3]


@pytest.mark.parametrize(
    "variables",
    [{}, {"OTEL_KPI_CHAT_PREFIX": PREFIX, "OTEL_KPI_COMPATIBILITY_SERIES": "false"}],
    ids=["without-a-prefix", "switched-off"],
)
def test_nothing_is_derived_where_nobody_asks_for_it(
    tmp_path: Path, receiver: Receiver, variables: dict[str, str]
) -> None:
    check = "import atexit, sys\natexit.register(lambda: print('otel_kpi.sdk.derivations' in sys.modules))\n"
    said = _start(tmp_path, receiver, check + PARENT_AND_CHILD, OTEL_SERVICE_NAME="chat-off", **variables)
    assert said == "False\n"
    assert sorted(_last(receiver, "http.server.request.duration").values()) == [2, 3]
    assert not [point for point in receiver.points if point.metric.startswith(PREFIX)]


def test_metrics_shows_what_is_derived_and_what_prometheus_client_keeps(
    tmp_path: Path, receiver: Receiver
) -> None:
    said = _start(
        tmp_path,
        receiver,
        EXPOSED,
        OTEL_SERVICE_NAME="chat-exposed",
        OTEL_KPI_CHAT_PREFIX=PREFIX,
        OTEL_KPI_PROMETHEUS_CLIENT="true",
    )
    counted = {
        line.partition("{")[0]: line.rpartition(" ")[2] for line in said.splitlines() if line[:1] != "#"
    }
    assert float(counted[f"{PREFIX}_http_requests_total"]) == 1
    assert float(counted["jobs_total"]) == 3
