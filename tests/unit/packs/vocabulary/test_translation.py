"""The examples of the KPI system's document, line by line: each line of theirs stands beside the Python that it became.

The document is in TypeScript. What changes is spelling alone, snake_case for camelCase, `subscription_operation` for
`subscriptionOperation`; the one word that changes is `instrument_websocket_server`, as Python writes WebSocket.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.children import environment, run
from support.receiver import Receiver

from otel_kpi import (
    AnalyticsInstrumentation,  # import { AnalyticsInstrumentation } from './monitoring/instrumentation';
    ETLInstrumentation,  # import { ETLInstrumentation } from './monitoring/instrumentation';
    WebSocketInstrumentation,  # import { WebSocketInstrumentation } from './monitoring/instrumentation';
    get_instrumentation_health,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.measured import Measured

DOCUMENT = """
import { configureMetrics, metricsEndpoint } from './monitoring/metrics';
import { instrumentExpressApp } from './monitoring/instrumentation';
configureMetrics({
appName: 'ofm-kpi-system',
version: '1.0.0',
environment: process.env.NODE_ENV || 'development'
});
app.use(instrumentExpressApp());
app.get('/metrics', metricsEndpoint());
import { ETLInstrumentation } from './monitoring/instrumentation';
const etl = ETLInstrumentation.instrumentETLProcessor();
export class ImprovedETLProcessor {
async processBatch(records: any[]) {
const endTimer = etl.timeOperation('marketing', 'validation');
try {
etl.recordProcessed('marketing', 'valid', validRecords.length);
etl.recordProcessed('marketing', 'invalid', invalidRecords.length);
etl.setQualityScore('marketing', qualityScore);
etl.batchProcessed('marketing', 'success');
} catch (error) {
etl.batchProcessed('marketing', 'error');
throw error;
} finally {
endTimer();
import { AnalyticsInstrumentation } from './monitoring/instrumentation';
const analytics = AnalyticsInstrumentation.instrumentAnalyticsEngine();
export class AnalyticsEngine {
async runAnalysis(modelName: string) {
analytics.analysisStarted(modelName);
await AnalyticsInstrumentation.instrumentAnalysisStage(
modelName,
'statistical',
() => this.detectAnomalies(records)
);
analytics.analysisCompleted(modelName, 'success');
analytics.analysisCompleted(modelName, 'error');
detectAnomalies(records: KpiRecord[]) {
analytics.anomalyDetected(modelName, metricName, 'zscore', 'high');
import { WebSocketInstrumentation } from './monitoring/instrumentation';
const ws = WebSocketInstrumentation.instrumentWebSocketServer();
export class SimplifiedWebSocketServer {
setupEventHandlers() {
this.io.on('connection', (socket) => {
ws.clientConnected();
socket.on('subscribe', (filter) => {
ws.subscriptionOperation('subscribe');
socket.on('disconnect', () => {
ws.clientDisconnected();
broadcast(event: KpiWebSocketEvent) {
ws.eventPublished(event.type, event.modelName);
WebSocketInstrumentation.measureDeliveryLatency(event.type, () => {
this.io.emit('kpi_event', event);
ws.eventDelivered(event.type, event.modelName, recipientCount);
app.get('/health', (req, res) => {
const health = {
status: 'healthy',
timestamp: new Date().toISOString(),
metrics: getInstrumentationHealth(),
version: process.env.APP_VERSION
};
res.json(health);
""".strip().splitlines()
"""The document's examples, without blank lines, comments, lone brackets and lines that come a second time."""

Record = dict[str, Any]

# --- 1. Configuration

CONFIGURATION = """
import os
from otel_kpi import configure_metrics  # import { configureMetrics, metricsEndpoint } from './monitoring/metrics';
from otel_kpi.endpoints.starlette import add_endpoints  # import { instrumentExpressApp } from './monitoring/instrumentation';

configure_metrics(  # configureMetrics({
    app_name="ofm-kpi-system",  # appName: 'ofm-kpi-system',
    version="1.0.0",  # version: '1.0.0',
    environment=os.environ.get("NODE_ENV") or "development",  # environment: process.env.NODE_ENV || 'development'
)  # });

from fastapi import FastAPI

app = FastAPI()  # app.use(instrumentExpressApp());
add_endpoints(app)  # app.get('/metrics', metricsEndpoint());
"""
ASKING = """
import json
from fastapi.testclient import TestClient
from otel_kpi import ETLInstrumentation, get_instrumentation_health

ETLInstrumentation.instrument_etl_processor().set_quality_score("marketing", 97)
with TestClient(app) as client:
    print(client.get("/metrics").text)
print(json.dumps(get_instrumentation_health()))
"""

# A line of theirs stands beside each line, however long both are.
# fmt: off
# --- 2. Instrumentation ETL

etl = ETLInstrumentation.instrument_etl_processor()  # const etl = ETLInstrumentation.instrumentETLProcessor();


class ImprovedETLProcessor:  # export class ImprovedETLProcessor {
    async def process_batch(self, records: list[Record]) -> None:  # async processBatch(records: any[]) {
        end_timer = etl.time_operation("marketing", "validation")  # const endTimer = etl.timeOperation('marketing', 'validation');
        try:  # try {
            valid_records = [each for each in records if "@" in each["email"]]
            invalid_records = [each for each in records if "@" not in each["email"]]
            quality_score = 100 * len(valid_records) / len(records)
            etl.record_processed("marketing", "valid", len(valid_records))  # etl.recordProcessed('marketing', 'valid', validRecords.length);
            etl.record_processed("marketing", "invalid", len(invalid_records))  # etl.recordProcessed('marketing', 'invalid', invalidRecords.length);
            etl.set_quality_score("marketing", quality_score)  # etl.setQualityScore('marketing', qualityScore);
            etl.batch_processed("marketing", "success")  # etl.batchProcessed('marketing', 'success');
        except Exception:  # } catch (error) {
            etl.batch_processed("marketing", "error")  # etl.batchProcessed('marketing', 'error');
            raise  # throw error;
        finally:  # } finally {
            end_timer()  # endTimer();


# --- 3. Instrumentation Analytics

analytics = AnalyticsInstrumentation.instrument_analytics_engine()  # const analytics = AnalyticsInstrumentation.instrumentAnalyticsEngine();


class AnalyticsEngine:  # export class AnalyticsEngine {
    def __init__(self, records: list[float]) -> None:
        self.records = records

    async def run_analysis(self, model_name: str) -> None:  # async runAnalysis(modelName: string) {
        analytics.analysis_started(model_name)  # analytics.analysisStarted(modelName);
        try:
            await AnalyticsInstrumentation.instrument_analysis_stage(  # await AnalyticsInstrumentation.instrumentAnalysisStage(
                model_name,  # modelName,
                "statistical",  # 'statistical',
                lambda: self.detect_anomalies(model_name, self.records),  # () => this.detectAnomalies(records)
            )  # );
            analytics.analysis_completed(model_name, "success")  # analytics.analysisCompleted(modelName, 'success');
        except Exception:
            analytics.analysis_completed(model_name, "error")  # analytics.analysisCompleted(modelName, 'error');
            raise

    # JavaScript awaits any value; what Python awaits is a coroutine. Without `await` the function may be a plain one.
    async def detect_anomalies(self, model_name: str, records: list[float]) -> None:  # detectAnomalies(records: KpiRecord[]) {
        for number, value in enumerate(records):
            metric_name = f"metric-{number}"
            if value > 3:
                analytics.anomaly_detected(model_name, metric_name, "zscore", "high")  # analytics.anomalyDetected(modelName, metricName, 'zscore', 'high');
            if value < 0:
                raise ValueError(metric_name)


# --- 4. Instrumentation WebSocket

ws = WebSocketInstrumentation.instrument_websocket_server()  # const ws = WebSocketInstrumentation.instrumentWebSocketServer();


class Socket:
    """What the document's server library gives: an object with handlers by event."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[..., None]] = {}

    def on(self, name: str, handler: Callable[..., None]) -> None:
        self.handlers[name] = handler

    def emit(self, name: str, *given: object) -> None:
        if name in self.handlers:
            self.handlers[name](*given)


class SimplifiedWebSocketServer:  # export class SimplifiedWebSocketServer {
    def __init__(self) -> None:
        self.io = Socket()
        self.recipient_count = 0

    def setup_event_handlers(self) -> None:  # setupEventHandlers() {
        def connection(socket: Socket) -> None:  # this.io.on('connection', (socket) => {
            ws.client_connected()  # ws.clientConnected();
            self.recipient_count += 1

            def subscribe(_filter: object) -> None:  # socket.on('subscribe', (filter) => {
                ws.subscription_operation("subscribe")  # ws.subscriptionOperation('subscribe');

            def disconnect() -> None:  # socket.on('disconnect', () => {
                ws.client_disconnected()  # ws.clientDisconnected();

            socket.on("subscribe", subscribe)
            socket.on("disconnect", disconnect)

        self.io.on("connection", connection)

    def broadcast(self, event: Record) -> None:  # broadcast(event: KpiWebSocketEvent) {
        ws.event_published(event["type"], event["model_name"])  # ws.eventPublished(event.type, event.modelName);

        def deliver() -> None:
            self.io.emit("kpi_event", event)  # this.io.emit('kpi_event', event);
            ws.event_delivered(event["type"], event["model_name"], self.recipient_count)  # ws.eventDelivered(event.type, event.modelName, recipientCount);

        WebSocketInstrumentation.measure_delivery_latency(event["type"], deliver)  # WebSocketInstrumentation.measureDeliveryLatency(event.type, () => {


# fmt: on
# --- the tests


def test_every_line_of_the_document_is_beside_its_python() -> None:
    comments = re.findall(r"(?:^|\s)# (.+)$", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE)
    missing = [line for line in DOCUMENT if line.strip() not in {comment.strip() for comment in comments}]
    assert not missing


def test_etl_example_counts_records_batches_and_quality(series: Measured) -> None:
    records: list[Record] = [{"email": "a@x"}, {"email": "b@x"}, {"email": "nobody"}, {"email": "c@x"}]
    asyncio.run(ImprovedETLProcessor().process_batch(records))
    with pytest.raises(KeyError):
        asyncio.run(ImprovedETLProcessor().process_batch([{"phone": "1"}]))

    validate = {"model_name": "marketing", "kpi_etl_stage_type": "validate"}
    processed = "kpi_etl_records_processed_total"
    assert series.value(processed, **validate, kpi_etl_record_status="valid") == 3
    assert series.value(processed, **validate, kpi_etl_record_status="invalid") == 1
    assert series.value("kpi_etl_quality_score", model_name="marketing") == 75
    assert series.value("kpi_etl_batches_processed_total", **validate, kpi_etl_result="success") == 1
    assert series.value("kpi_etl_batches_processed_total", **validate, kpi_etl_result="error") == 1
    assert series.value("kpi_etl_stage_duration_seconds", **validate, kpi_etl_result="success")[0] == 1
    assert series.value("kpi_etl_stage_duration_seconds", **validate, kpi_etl_result="error")[0] == 1
    assert series.value("kpi_etl_processors_active", model_name="marketing") == 0


def test_analytics_example_counts_analyses_and_anomalies(series: Measured) -> None:
    asyncio.run(AnalyticsEngine([0.4, 3.5, 1.2, 4.1]).run_analysis("marketing"))
    with pytest.raises(ValueError, match="metric-1"):
        asyncio.run(AnalyticsEngine([3.2, -1]).run_analysis("marketing"))

    model = {"model_name": "marketing"}
    anomalies = "kpi_analytics_anomalies_detected_total"
    assert series.value(anomalies, **model, severity="high", kpi_analytics_method="zscore") == 3
    assert series.value("kpi_analytics_analyses_started_total", **model) == 2
    assert series.value("kpi_analytics_analyses_active", **model) == 0
    for result in ("success", "error"):
        ended = {**model, "kpi_analytics_result": result}
        assert series.value("kpi_analytics_analyses_completed_total", **ended) == 1
        duration = series.value(
            "kpi_analytics_stage_duration_seconds", **ended, kpi_analytics_stage="statistical"
        )
        assert duration[0] == 1


def test_websocket_example_counts_clients_events_and_deliveries(series: Measured) -> None:
    server = SimplifiedWebSocketServer()
    server.setup_event_handlers()
    sockets = [Socket() for _ in range(3)]
    for socket in sockets:
        server.io.emit("connection", socket)
        socket.emit("subscribe", {"model": "marketing"})
    assert series.value("kpi_websocket_active_connections") == 3
    server.broadcast({"type": "kpi_update", "model_name": "marketing"})
    sockets[0].emit("disconnect")
    assert series.value("kpi_websocket_active_connections") == 2
    for socket in sockets[1:]:
        socket.emit("disconnect")

    event = {"kpi_websocket_event_type": "kpi_update"}
    assert series.value("kpi_websocket_active_connections") == 0
    assert (
        series.value("kpi_websocket_subscriptions_total", kpi_websocket_subscription_operation="subscribe")
        == 3
    )
    assert series.value("kpi_websocket_events_published_total", **event, model_name="marketing") == 1
    assert series.value("kpi_websocket_events_delivered_total", **event, model_name="marketing") == 3
    assert series.value("kpi_websocket_delivery_duration_seconds", **event)[0] == 1


@pytest.mark.usefixtures("series")
def test_health_example_answers_in_json() -> None:
    def health_of(environ: dict[str, str]) -> str:  # app.get('/health', (req, res) => {
        health = {  # const health = {
            "status": "healthy",  # status: 'healthy',
            "timestamp": datetime.now(UTC).isoformat(),  # timestamp: new Date().toISOString(),
            "metrics": get_instrumentation_health(),  # metrics: getInstrumentationHealth(),
            "version": environ.get("APP_VERSION"),  # version: process.env.APP_VERSION
        }  # };
        return json.dumps(health)  # res.json(health);

    etl.set_quality_score("marketing", 97)
    found = json.loads(health_of({"APP_VERSION": "1.0.0"}))
    assert found["version"] == "1.0.0"
    assert found["metrics"]["packs"]["etl"]["recorded"]


def test_configuration_example_names_every_series_and_answers_at_metrics(tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(CONFIGURATION + ASKING)
    with Receiver() as receiver:
        ended = run([sys.executable, str(program)], environment(receiver.url))
        points = [point for point in receiver.points if point.metric == "kpi.etl.quality_score"]
    assert ended.returncode == 0, ended.stderr
    *text, health = ended.stdout.splitlines()
    (line,) = [each for each in text if each.startswith("kpi_etl_quality_score{")]
    assert line.endswith(("} 97.0", "} 97")), line
    for label in ('app="ofm-kpi-system"', 'version="1.0.0"', 'environment="development"', 'instance="',
                  'model_name="marketing"'):  # fmt: skip
        assert label in line
    assert points
    assert points[-1].resource["service.name"] == "ofm-kpi-system"
    assert json.loads(health)["status"] == "healthy"
    assert json.loads(health)["exporters"]
