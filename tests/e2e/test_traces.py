"""What belongs together is found together: across services, from a request to its run, from an error to its trace."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from storefront.audit import records, spans
from storefront.audit.events import Events
from storefront.audit.stores import get
from storefront.ledger import ASSISTANT, BACKOFFICE, ETL, SHOP

if TYPE_CHECKING:
    from storefront.audit.round import Round
    from storefront.audit.spans import Span


@pytest.fixture(scope="session")
def traces(played: Round) -> dict[str, list[Span]]:
    """Return all traces of the shop's requests, by trace id."""
    found = spans.search(
        played.addresses.jaeger, SHOP, played.system.environment, played.outcome.began - 1, time.time()
    )
    result: dict[str, list[Span]] = {}
    for span in found:
        result.setdefault(span.trace_id, []).append(span)
    return result


def _server(trace: list[Span], service: str) -> Span:
    (found,) = [span for span in trace if span.service == service and span.kind == "server"]
    return found


def _way_up(trace: list[Span], span: Span) -> list[str]:
    """Return service and kind of a span and of all its ancestors."""
    by_id = {each.span_id: each for each in trace}
    way = [f"{span.service} {span.kind}"]
    while span.parent is not None:
        assert span.parent[0] == span.trace_id
        span = by_id[span.parent[1]]
        way.append(f"{span.service} {span.kind}")
    return way


def test_one_trace_crosses_fastapi_django_and_the_assistant(traces: dict[str, list[Span]]) -> None:
    checkouts = [
        trace
        for trace in traces.values()
        if any(span.request == f"{SHOP} POST /checkout 201" for span in trace)
    ]
    assert checkouts
    for trace in checkouts:
        way = _way_up(trace, _server(trace, ASSISTANT))
        without_inner = [step for step in way if not step.endswith("internal")]
        assert without_inner == [
            f"{ASSISTANT} server",
            f"{BACKOFFICE} client",
            f"{BACKOFFICE} server",
            f"{SHOP} client",
            f"{SHOP} server",
        ]
        assert [span.name for span in trace if span.parent is None] == ["POST /checkout"]


def test_each_request_is_a_trace_of_its_own(played: Round, traces: dict[str, list[Span]]) -> None:
    """On connections that are kept alive, too."""
    assert len([t for t in traces.values() if any(s.request for s in t)]) == played.outcome.answers.total()
    for trace in traces.values():
        assert len([span for span in trace if span.service == SHOP and span.kind == "server"]) <= 1


def test_each_worker_that_served_has_an_instance_id_of_its_own(
    played: Round, traces: dict[str, list[Span]]
) -> None:
    shop = [span for trace in traces.values() for span in trace if span.service == SHOP and span.request]
    instances = {str(span.resource["service.instance.id"]) for span in shop}
    processes = {int(span.resource["process.pid"]) for span in shop}
    # The kernel gives each connection to some worker; one of four may get none in a few seconds.
    assert min(2, played.system.workers) <= len(processes) <= played.system.workers
    assert len(instances) == len(processes)
    assert {span.resource["service.version"] for span in shop} == {"1.0.0"}


def test_etl_run_is_a_trace_of_its_own_linked_to_its_request_both_ways(
    played: Round, traces: dict[str, list[Span]]
) -> None:
    jaeger = played.addresses.jaeger
    assert played.outcome.run_ids
    for run_id in played.outcome.run_ids:
        # From the request to the run: by the run's id, which the request's span carries.
        (trigger,) = [s for t in traces.values() for s in t if s.attributes.get(spans.RUN_ID) == run_id]
        assert trigger.request == f"{SHOP} POST /imports 202"
        (run,) = spans.of_run(jaeger, run_id, played.outcome.began)
        assert (run.name, run.kind, run.parent) == ("run catalogue", "server", None)
        assert run.trace_id != trigger.trace_id
        assert run.attributes["kpi.etl.run.trigger"] == "event"
        # From the run to the request: by the link.
        ((trace_id, span_id),) = run.links
        (linked,) = [s for s in spans.of_trace(jaeger, trace_id) if s.span_id == span_id]
        assert linked == trigger


def test_stages_are_children_of_their_run(played: Round) -> None:
    for run_id in played.outcome.run_ids:
        (run,) = spans.of_run(played.addresses.jaeger, run_id, played.outcome.began)
        trace = spans.of_trace(played.addresses.jaeger, run.trace_id)
        stages = [span for span in trace if "kpi.etl.stage.name" in span.attributes]
        assert [span.name for span in stages] == [
            f"{stage} catalogue" for stage in ("extract", "validate", "transform", "load")
        ]
        assert {span.parent for span in stages} == {(run.trace_id, run.span_id)}
        assert {span.attributes["kpi.etl.result"] for span in [run, *stages]} == {"success"}
        load = stages[-1]
        inserts = [span for span in trace if span.is_statement]
        assert inserts
        assert {span.parent for span in inserts} == {(load.trace_id, load.span_id)}


def test_unhandled_fastapi_error_leads_to_its_trace_and_its_log_records(played: Round) -> None:
    addresses = played.addresses
    events = Events(addresses.bugsink_api, addresses.token(), played.system.environment).read()
    errors = [event for event in events if event.type == "InvalidOperation"]
    logged = {
        record.trace_id for record in records.read(Path(addresses.logs_file), played.system.environment)
    }
    assert errors
    for error in errors:
        trace = spans.of_trace(addresses.jaeger, error.trace_id)
        assert _server(trace, SHOP).request == f"{SHOP} GET /products/{{product_id}} 500"
        assert error.span_id in {span.span_id for span in trace}
        assert error.trace_id in logged
        assert (error.service, error.version) == (SHOP, "1.0.0")


def test_unhandled_django_error_leads_to_its_trace(played: Round) -> None:
    addresses = played.addresses
    events = Events(addresses.bugsink_api, addresses.token(), played.system.environment).read()
    errors = [event for event in events if event.type == "ValueError"]
    assert errors
    for error in errors:
        trace = spans.of_trace(addresses.jaeger, error.trace_id)
        assert _server(trace, BACKOFFICE).request == f"{BACKOFFICE} GET /stock/<slug:sku>/ 500"
        assert _server(trace, SHOP).request == f"{SHOP} GET /products/{{product_id}}/stock 502"


def test_log_records_of_a_request_carry_its_trace(played: Round, traces: dict[str, list[Span]]) -> None:
    """Each of the example's own records was written inside a request or a run."""
    own = [
        record
        for record in records.read(Path(played.addresses.logs_file), played.system.environment)
        if record.logger.startswith("storefront.") and record.service != ETL
    ]
    lost = [record for record in own if record.trace_id not in traces]
    assert own
    assert not lost, lost[:5]


def test_jaeger_draws_who_calls_whom(played: Round) -> None:
    now: dict[str, str | int] = {"endTs": int(time.time() * 1000), "lookback": 3_600_000}
    edges = get(f"{played.addresses.jaeger}/api/dependencies", now)["data"]
    assert {(SHOP, BACKOFFICE), (BACKOFFICE, ASSISTANT)} <= {
        (edge["parent"], edge["child"]) for edge in edges
    }


def test_jaeger_shows_service_performance_from_the_span_metrics(played: Round) -> None:
    asked = {
        "service": SHOP,
        "endTs": int(time.time() * 1000),
        "lookback": 600_000,
        "step": 5_000,
        "ratePer": 60_000,
    }
    calls = get(f"{played.addresses.jaeger}/api/metrics/calls", asked)["metrics"]
    points = [point["gaugeValue"]["doubleValue"] for each in calls for point in each["metricPoints"]]
    assert max(float(point) for point in points if point != "NaN") > 0
