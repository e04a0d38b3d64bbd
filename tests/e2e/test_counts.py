"""Every number that the traffic script plans is found in every store: no more and no less."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from storefront import services
from storefront.audit import series
from storefront.audit.round import AFTER_EXIT

if TYPE_CHECKING:
    from storefront.audit.findings import Finding
    from storefront.audit.round import Round


def _of(played: Round, store: str) -> list[Finding]:
    return [finding for finding in played.findings if finding.store == store]


def _agrees(finding: Finding) -> bool:
    """Fails with a line for every key whose number is wrong."""
    assert not finding.differences, "\n".join([f"{finding.store}:", *finding.differences])
    return True


def test_every_answer_is_the_planned_one(played: Round) -> None:
    assert not played.unplanned


def test_prometheus_equals_the_driver_within_15_seconds_of_its_end(played: Round) -> None:
    assert _agrees(_of(played, "Prometheus")[0])


def test_last_reports_of_stopped_processes_add_nothing_twice(played: Round) -> None:
    assert _agrees(_of(played, AFTER_EXIT)[0])


def test_jaeger_holds_every_request_statement_and_run(played: Round) -> None:
    assert _agrees(_of(played, "Jaeger")[0])


def test_bugsink_holds_every_unhandled_error_and_no_4xx(played: Round) -> None:
    assert _agrees(_of(played, "Bugsink")[0])


def test_collector_holds_every_log_record(played: Round) -> None:
    assert _agrees(_of(played, "Collector's log file")[0])


def test_every_series_says_app_version_environment_and_instance(played: Round) -> None:
    prometheus, environment = played.addresses.prometheus, played.system.environment
    assert not series.without_labels(prometheus, environment)


def test_sigterm_ends_every_service_as_it_ends_without_us(played: Round) -> None:
    """The wait status is the same; what each took along is in the counts above."""
    bare = replace(played.system, launcher="bare", data=played.system.data / "bare")
    services.prepare(bare)
    with services.running(bare) as processes:
        without_us = {name: services.stop(process) for name, process in reversed(processes.items())}
    assert played.statuses == without_us
