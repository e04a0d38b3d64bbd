"""One round: start the system, send the script, stop the system, and ask every store."""

import asyncio
from dataclasses import dataclass, replace

from storefront import services
from storefront.audit import findings
from storefront.audit.findings import Finding
from storefront.audit.stores import Addresses
from storefront.ledger import SHOP, Ledger
from storefront.services import System
from storefront.traffic import driver, script
from storefront.traffic.driver import Outcome

# Seconds that a store has until it must agree.
METRICS_WITHIN = 15.0
TRACES_WITHIN = 30.0
ERRORS_WITHIN = 60.0
LOGS_WITHIN = 10.0

AFTER_EXIT = "Prometheus, after exit"


@dataclass(frozen=True, slots=True)
class Round:
    """What was sent, what came back, what the stores say, and how the services ended."""

    system: System
    addresses: Addresses
    plan: Ledger
    outcome: Outcome
    findings: tuple[Finding, ...]
    statuses: dict[str, int]

    @property
    def unplanned(self) -> list[str]:
        """A line for each kind of answer that the shop did not give as often as planned."""
        wanted = {key: count for key, count in self.plan.requests.items() if key.startswith(f"{SHOP} ")}
        got = self.outcome.answers
        return [
            f"{key}: expected {wanted.get(key, 0)}, got {got[key]}"
            for key in sorted(wanted.keys() | got.keys())
            if wanted.get(key, 0) != got[key]
        ]


def play(system: System, addresses: Addresses, rate: int, duration: int) -> Round:
    """Play one round.

    Prometheus is asked while the services run: its 15 s begin with the driver's last answer. The others are
    asked after the services have been stopped, so whatever was still in a process counts as well; and so is
    Prometheus a second time, because a last report must not add anything twice.
    """
    requests = script.requests(rate, duration)
    plan = script.plan(requests)
    services.prepare(system)
    with services.running(system) as processes:
        outcome = asyncio.run(driver.send(requests, system.shop_url, rate))
        while_running = findings.in_prometheus(addresses, plan, system.environment, METRICS_WITHIN)
        statuses = {name: services.stop(process) for name, process in reversed(processes.items())}
    asked = (
        while_running,
        findings.in_jaeger(addresses, plan, system.environment, outcome.began, TRACES_WITHIN),
        findings.in_collector(addresses, plan, system.environment, LOGS_WITHIN),
        findings.in_bugsink(addresses, plan, system.environment, ERRORS_WITHIN),
        replace(
            findings.in_prometheus(addresses, plan, system.environment, METRICS_WITHIN), store=AFTER_EXIT
        ),
    )
    return Round(system, addresses, plan, outcome, asked, statuses)


def report(played: Round) -> str:
    """Return the round as a table, and every number that is not as planned."""
    lines = [f"{'store':24}{'book':14}{'planned':>9}{'found':>9}"]
    for finding in played.findings:
        for book in finding.books:
            planned, found = getattr(played.plan, book).total(), getattr(finding.found, book).total()
            if finding.store == "Jaeger" and book == "etl_records":
                planned = sum(played.plan.etl_records[key] for key in findings.SPAN_RECORDS)
            lines.append(f"{finding.store:24}{book:14}{planned:>9}{found:>9}")
    lines += [f"answers: {line}" for line in played.unplanned]
    lines += [f"{finding.store}: {line}" for finding in played.findings for line in finding.differences]
    p50, p99 = played.outcome.percentile(50), played.outcome.percentile(99)
    lines.append(f"latency p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    return "\n".join(lines)
