"""What docs/websocket.md shows runs, and counts what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, free_port, get, running, stop
from support.receiver import Received, Receiver
from websockets.sync.client import connect

from otel_kpi import websocket
from otel_kpi.config import declarations

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "websocket.md").read_text()
FILES = dict(re.findall(r'^```python title="(\S+)"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL))
FAST = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "200"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def last(receiver: Receiver, metric: str) -> list[Received]:
    points = [point for point in receiver.points if point.metric == metric]
    return [point for point in points if point.item.time_unix_nano == points[-1].item.time_unix_nano]


def test_the_example_counts_its_events_and_an_update_is_seen_from_one_client_to_the_other(
    receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "feed.py").write_text(FILES["feed.py"])
    port = free_port()
    env = environment(receiver.url, OTEL_SERVICE_NAME="page-feed", **FAST)
    command = [*RUN, "uvicorn", "--app-dir", str(tmp_path), "--port", str(port), "feed:app"]
    with running(command, env, tmp_path) as process:
        assert get(f"http://127.0.0.1:{port}/health") == 404
        url = f"ws://127.0.0.1:{port}/feed/marketing"
        with connect(url, proxy=None) as viewer, connect(url, proxy=None) as editor:
            viewer.send(json.dumps({"type": "subscribe"}))
            receiver.wait_for(lambda arrived: arrived.named("message subscribe"))
            editor.send(json.dumps({"type": "update", "value": 7}))
            event = json.loads(viewer.recv(timeout=10))
        stop(process)
    [update] = receiver.named("message update")
    [delivery] = receiver.named("deliver kpi_update")
    assert delivery.item.parent_span_id == update.item.span_id
    assert event["traceparent"].split("-")[1:3] == [update.item.trace_id.hex(), delivery.item.span_id.hex()]
    for metric in ("kpi.websocket.events.published", "kpi.websocket.events.delivered"):
        [point] = last(receiver, metric)
        assert point.attributes == {"kpi.websocket.event.type": "kpi_update", "model_name": "marketing"}
        assert point.item.as_int == 1
    [active] = last(receiver, "kpi.websocket.active_connections")
    assert active.item.as_int == 0


def test_the_example_without_an_instrumentor_counts_itself(receiver: Receiver, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "alone.py").write_text(FILES["alone.py"].replace("8765", str(port)))
    env = environment(receiver.url, OTEL_SERVICE_NAME="page-alone", **FAST)
    with running([*RUN, "python", str(tmp_path / "alone.py")], env, tmp_path) as process:
        assert get(f"http://127.0.0.1:{port}/") == 426, "it wants a WebSocket"
        with connect(f"ws://127.0.0.1:{port}", proxy=None) as socket:
            socket.send('{"type": "hello"}')
            assert socket.recv(timeout=10) == '{"type": "hello"}'
        receiver.wait_for(lambda arrived: arrived.named("connection /feed"))
        stop(process)
    [handled] = receiver.named("message hello")
    [handshake] = receiver.named("/feed")
    assert [link.span_id for link in handled.item.links] == [handshake.item.span_id]
    [active] = last(receiver, "kpi.websocket.active_connections")
    assert active.item.as_int == 0
    sizes = {
        point.attributes["network.io.direction"]: point.item.as_int
        for point in last(receiver, "kpi.websocket.io")
    }
    assert sizes == {"receive": 17, "transmit": 17}


def test_every_series_helper_and_setting_is_named() -> None:
    assert [each.series_name for each in websocket.PACK.instruments if each.series_name not in PAGE] == []
    helpers = set(websocket.__all__) - {"PACK", "Connection", "delivery_duration"}
    assert [name for name in sorted(helpers) if f"{name}(" not in PAGE] == []
    settings = [each.variable for _, each in declarations() if "WEBSOCKET" in each.variable]
    assert len(settings) == 2
    assert [name for name in settings if name not in PAGE] == []
