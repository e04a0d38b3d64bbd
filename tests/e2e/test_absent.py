"""The example goes on as before when nobody takes its telemetry."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from storefront import services
from storefront.ledger import ASSISTANT, BACKOFFICE, SHOP
from storefront.traffic import driver, script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storefront.services import System
    from storefront.traffic.driver import Outcome

RATE, SECONDS = 50, 4
EXIT_FIGURE = 2.0  # seconds
CHANGE_OF_STATE = "does not take telemetry"


@dataclass(frozen=True, slots=True)
class Absent:
    """What happened without a Collector."""

    outcome: Outcome
    exits: dict[str, float]
    logs: dict[str, str]


def _play(system: System) -> Absent:
    services.prepare(system)
    exits: dict[str, float] = {}
    with services.running(system) as processes:
        outcome = asyncio.run(driver.send(script.requests(RATE, SECONDS), system.shop_url, RATE))
        for name, process in reversed(processes.items()):
            begun = time.monotonic()
            services.stop(process)
            exits[name] = time.monotonic() - begun
    logs = {name: (system.data / "logs" / f"{name}.log").read_text() for name in exits}
    return Absent(outcome, exits, logs)


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    """Return an address that refuses connections for as long as the fixture lives."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port either
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture(scope="module")
def absent(nobody: str, new_system: Callable[[int], System]) -> Absent:
    """Play the traffic without a Collector."""
    return _play(replace(new_system(1), extra={"OTEL_EXPORTER_OTLP_ENDPOINT": nobody}))


def test_requests_are_answered_as_planned_without_a_collector(absent: Absent) -> None:
    wanted = script.plan(script.requests(RATE, SECONDS)).requests
    assert absent.outcome.answers == {key: wanted[key] for key in wanted if key.startswith(f"{SHOP} ")}


def test_services_end_in_time_without_a_collector(absent: Absent) -> None:
    assert max(absent.exits.values()) <= 3 * EXIT_FIGURE, absent.exits


def test_absent_collector_is_one_line_in_each_process(absent: Absent) -> None:
    lines = {name: log.count(CHANGE_OF_STATE) for name, log in absent.logs.items()}
    imports = len(absent.outcome.run_ids)  # processes of their own, with the shop's standard error
    assert (lines[SHOP], lines[ASSISTANT]) == (1 + imports, 1)
    assert 1 <= lines[BACKOFFICE] <= 2  # gunicorn's worker, and its parent if that had something to send


def test_absent_collector_slows_nothing_down(absent: Absent, new_system: Callable[[int], System]) -> None:
    """Within 10 % is shown by benchmarks/storefront.py, in turns; here three times is the bound."""
    present = _play(new_system(1))
    assert absent.outcome.percentile(50) <= 3 * present.outcome.percentile(50)
