"""The script: the same rounds every time, and what each request and each message causes in Prometheus.

Everything that is counted is known before anything is sent. Durations, ages and times are not: of them it is known
that there is a series, and of a histogram how many values it has.
"""

from dataclasses import dataclass
from http import HTTPStatus
from itertools import combinations

from kpi_system import detectors, feeds, gate
from kpi_system.traffic import signins
from kpi_system.traffic.plan import Plan
from kpi_system.traffic.runs import ended, lasting, run

OPEN = 2
"""Clients that stay for as long as the figures are read."""
LEAVING = 2
"""Clients that close their connection after the last round."""
SUBSCRIPTIONS: tuple[tuple[str, ...], ...] = (("marketing", "sales"), (), ("marketing",), ("sales",))
"""What each client subscribes to; nothing is everything. The first two are those that stay."""
READS = 5
"""Reports that one reader asks for in a round, of which three are allowed."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: The HTTP method.
        path: With the query.
        status: The answer that it gets.
        key: Which key it brings: `right`, `wrong` or `none`.
        body: What it sends as JSON.
    """

    method: str
    path: str
    status: int = 200
    key: str = "right"
    body: dict[str, str] | None = None


BEGIN_ARCHIVE = Request("POST", "/api/archive")
END_ARCHIVE = Request("DELETE", "/api/archive")


def requests(number: int) -> list[Request]:
    """Return the requests of one round in the order in which they are sent, each after the answer to the one before."""
    return [
        Request("POST", "/api/models/marketing/refresh"),
        Request("POST", "/api/models/sales/refresh"),
        Request("POST", f"/api/models/{feeds.CORRUPT}/refresh", 502),
        Request("POST", "/api/models/marketing/analysis"),
        Request("POST", "/api/models/sales/analysis"),
        Request("POST", f"/api/models/{feeds.CORRUPT}/analysis", 422),
        Request("POST", "/api/notes", body={"text": "quality is fine"}),
        Request("POST", "/api/notes", body={"text": "quality is <b>fine</b>"}),
        Request("GET", "/api/models?search=%27%20OR%201%3D1", 400),
        Request("GET", "/api/models", 401, key="none"),
        Request("GET", "/api/models", 401, key="wrong"),
        *(
            Request("GET", f"/api/reports/reader-{number}", 200 if place < gate.REPORTS else 429)
            for place in range(READS)
        ),
    ]


def plan(rounds: int) -> Plan:
    """Return what so many rounds cause in the server, as long as the clients that stay are there."""
    made = Plan(received=[0] * len(SUBSCRIPTIONS))
    _connections(made)
    _request(made, BEGIN_ARCHIVE)
    made.answers["POST /api/archive 200"] += 1
    lasting(made)
    for number in range(rounds):
        for request in requests(number):
            made.answers[f"{request.method} {request.path.partition('?')[0]} {request.status}"] += 1
            _request(made, request)
    if rounds >= gate.WRONG_KEYS:
        made.put("kpi_security_suspicions_total", 1, kpi_security_suspicion_reason="too_many_failures")
        made.put("kpi_security_suspicious_clients", 1)
    return made


def everything(rounds: int) -> Plan:
    """Return what server, office and the firewall's sweep cause together."""
    made = plan(rounds)
    made.add(signins.plan(rounds))
    made.add(signins.sweep())
    return made


def end(made: Plan) -> None:
    """Add what happens when the clients that stay are no longer needed."""
    _request(made, END_ARCHIVE)
    ended(made)


# --- requests


def _request(made: Plan, request: Request) -> None:
    words = request.path.partition("?")[0].strip("/").split("/")
    operation = {"reports": "report"}.get(words[1], words[1])
    if words[3:]:  # api, models, the model, what to do
        operation = words[3]
    result = {200: "allowed", 401: "denied", 429: "denied"}.get(request.status, "error")
    duration = "kpi_security_secured_request_duration_seconds_count"
    made.count(duration, kpi_security_operation=operation, kpi_security_request_result=result)
    _authentication(made, request.key)
    match operation:
        case "refresh":
            _refresh(made, words[2])
        case "analysis":
            _analysis(made, words[2])
        case "notes" if "<" in (request.body or {}).get("text", ""):
            made.count("kpi_security_sanitizations_total", kpi_security_sanitization_kind="html")
        case "models" if request.status == HTTPStatus.BAD_REQUEST:  # the injection
            made.count("kpi_security_intrusion_attempts_total", kpi_security_intrusion_kind="sql_injection")
        case "report":
            decided = "allowed" if request.status == HTTPStatus.OK else "limited"
            limit = {"kpi_security_rate_limit_policy": "reports", "kpi_security_rate_limit_result": decided}
            made.count("kpi_security_rate_limit_requests_total", **limit)
        case _:
            pass


def _authentication(made: Plan, key: str) -> None:
    said = {"kpi_security_auth_scheme": "api_key", "kpi_security_auth_result": "success"}
    if key != "right":
        reason = "missing_credentials" if key == "none" else "invalid_credentials"
        said |= {"kpi_security_auth_result": "failure", "kpi_security_auth_reason": reason}
    made.count("kpi_security_auth_attempts_total", **said)


# --- a refresh


def _refresh(made: Plan, model: str) -> None:
    run(made, model, "event", broken=model == feeds.CORRUPT)
    if model != feeds.CORRUPT:
        _event(made, "kpi_update", model)
        made.count("kpi_websocket_batch_size_count")


# --- an analysis


def _analysis(made: Plan, model: str) -> None:
    name = {"model_name": model}
    figures = feeds.figures(model)
    result = "success" if figures else "error"
    made.count("kpi_analytics_analyses_started_total", **name)
    made.count("kpi_analytics_analyses_completed_total", **name, kpi_analytics_result=result)
    made.count("kpi_analytics_analysis_duration_seconds_count", **name, kpi_analytics_result=result)
    made.put("kpi_analytics_analyses_active", 0, **name)
    function = {"code_function_name": "analyse"} | ({} if figures else {"error_type": "ValueError"})
    made.count("kpi_code_function_duration_seconds_count", **function)
    stages = ("statistical", "correlation", "trend", "insight") if figures else ("statistical",)
    for stage in stages:
        ended = {"kpi_analytics_stage": stage, "kpi_analytics_result": result}
        made.count("kpi_analytics_stage_duration_seconds_count", **name, **ended)
    if not figures:
        return
    made.count("kpi_analytics_data_points_processed_total", sum(map(len, figures.values())), **name)
    made.count("kpi_analytics_correlations_calculated_total", len(list(combinations(figures, 2))), **name)
    anomalies = 0
    for values in figures.values():
        direction = detectors.direction(values)
        made.count("kpi_analytics_trends_detected_total", **name, kpi_analytics_trend_direction=direction)
        for method, detect in detectors.METHODS.items():
            found = {**name, "kpi_analytics_method": method}
            made.count("kpi_analytics_algorithm_duration_seconds_count", **found)
            for outlier in detect(values):
                anomalies += 1
                made.count("kpi_analytics_anomalies_detected_total", **found, severity=outlier.severity)
                made.count("kpi_analytics_insights_generated_total", **name, severity=outlier.severity)
    _event(made, "anomaly_detected", model, anomalies)
    _event(made, "analysis_completed", model)
    made.count("kpi_websocket_batch_size_count")


# --- connections and events


def _connections(made: Plan) -> None:
    """Four clients that subscribe, one without a key, one that asks for what nobody knows."""
    accepted = len(SUBSCRIPTIONS) + 1
    made.count("kpi_websocket_handshakes_total", accepted, kpi_websocket_handshake_result="accepted")
    made.count("kpi_websocket_handshakes_total", kpi_websocket_handshake_result="rejected")
    for _ in range(accepted):
        _authentication(made, "right")
    _authentication(made, "none")
    for models in SUBSCRIPTIONS:
        _operation(made, "subscribe")
        made.count("kpi_websocket_active_filters", len(models))
    for models in SUBSCRIPTIONS[OPEN:]:
        _operation(made, "unsubscribe")
        made.count("kpi_websocket_active_filters", -len(models))
    made.put("kpi_websocket_active_connections", OPEN)
    made.put("kpi_websocket_buffer_size", 0)
    closed = {"kpi_websocket_close_class": "normal", "kpi_websocket_close_by": "client"}
    made.count("kpi_websocket_closes_total", LEAVING, **closed)
    made.count("kpi_websocket_connection_duration_seconds_count", LEAVING, kpi_websocket_close_class="normal")
    made.count("kpi_websocket_errors_total", error_type="RuntimeError")
    closed = {"kpi_websocket_close_class": "error", "kpi_websocket_close_by": "server"}
    made.count("kpi_websocket_closes_total", **closed)
    made.count("kpi_websocket_connection_duration_seconds_count", kpi_websocket_close_class="error")
    made.count("kpi_websocket_messages_total", network_io_direction="receive")
    made.count("kpi_websocket_message_duration_seconds_count", kpi_websocket_event_type="explode")
    for direction in ("receive", "transmit"):
        made.see("kpi_websocket_io_bytes_total", network_io_direction=direction)


def _operation(made: Plan, operation: str) -> None:
    """A message, its answer, and what it is counted as."""
    made.count("kpi_websocket_subscriptions_total", kpi_websocket_subscription_operation=operation)
    made.count("kpi_websocket_message_duration_seconds_count", kpi_websocket_event_type=operation)
    made.count("kpi_websocket_messages_total", network_io_direction="receive")
    made.count("kpi_websocket_messages_total", network_io_direction="transmit")


def _event(made: Plan, event_type: str, model: str, number: int = 1) -> None:
    """Events of one kind, to every client that wants them."""
    recipients = [place for place, models in enumerate(SUBSCRIPTIONS) if not models or model in models]
    for place in recipients:
        made.received[place] += number
    event = {"kpi_websocket_event_type": event_type}
    made.count("kpi_websocket_events_published_total", number, **event, model_name=model)
    made.count("kpi_websocket_events_delivered_total", number * len(recipients), **event, model_name=model)
    made.count("kpi_websocket_delivery_duration_seconds_count", number, **event)
    made.count("kpi_websocket_messages_total", number * len(recipients), network_io_direction="transmit")
