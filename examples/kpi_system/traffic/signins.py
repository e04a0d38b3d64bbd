"""The script of the office: who signs in, who fails and why; and the script of the firewall, which is one line."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from itertools import chain

import httpx

from kpi_system import firewall
from kpi_system.office import ACTIVE, FORMER
from kpi_system.traffic.plan import Plan


@dataclass(frozen=True, slots=True)
class Step:
    """One request.

    Attributes:
        method: The HTTP method.
        path: The path.
        status: The answer that it gets.
        name: Who signs in; none in a request that does not.
        password: Which one is given: `right` or `wrong`.
        form: Whether the token of the form is sent.
        scheme: How the client says who it is.
        counted: `success`, a reason of a failure, or nothing where nobody is asked who they are.
    """

    method: str
    path: str
    status: int
    name: str = ""
    password: str = "wrong"
    form: bool = True
    scheme: str = "password"
    counted: str = ""


STEPS = (
    Step("GET", "/sign-in", 200),
    Step("GET", "/files", 403, scheme="session", counted="permission_denied"),
    Step("POST", "/sign-in", 403, ACTIVE, "right", form=False, scheme="session", counted="csrf"),
    Step("POST", "/sign-in", 401, ACTIVE, counted="invalid_credentials"),
    Step("POST", "/sign-in", 401, "nobody", counted="invalid_credentials"),
    Step("POST", "/sign-in", 401, FORMER, "right", counted="inactive"),
    Step("POST", "/sign-in", 200, ACTIVE, "right", counted="success"),
    Step("GET", "/files", 200),
)
"""One round, by one client, each after the answer to the one before; rounds are played side by side."""


def plan(rounds: int) -> Plan:
    """Return what so many rounds cause in the office."""
    made = Plan()
    for step in STEPS * rounds:
        made.answers[_told(step, step.status)] += 1
        if not step.counted:
            continue
        said = {"kpi_security_auth_scheme": step.scheme, "kpi_security_auth_result": "success"}
        if step.counted != "success":
            said |= {"kpi_security_auth_result": "failure", "kpi_security_auth_reason": step.counted}
            made.count("django_auth_failures_total", reason=step.counted)
        made.count("kpi_security_auth_attempts_total", **said)
    return made


def sweep() -> Plan:
    """Return what one night of the firewall causes."""
    made = Plan()
    made.put("kpi_security_suspicions_total", firewall.CLIENTS, kpi_security_suspicion_reason="firewall")
    made.put("kpi_security_suspicious_clients", firewall.TOLD_APART)
    made.put("kpi_security_suspicious_clients_uncounted_total", firewall.CLIENTS - firewall.TOLD_APART)
    dropped = {"kpi_security_event": "security.suspicion", "kpi_security_drop_reason": "rate"}
    made.expect("kpi_security_events_dropped_total", firewall.CLIENTS - firewall.WRITTEN, **dropped)
    return made


async def played(url: str, password: str, rounds: int) -> Counter[str]:
    """Send so many rounds to the office, and return the answers by request and status."""
    told = await asyncio.gather(*(_round(url, password) for _ in range(rounds)))
    return Counter(chain.from_iterable(told))


async def _round(url: str, password: str) -> list[str]:
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        return [_told(step, (await _sent(client, step, password)).status_code) for step in STEPS]


async def _sent(client: httpx.AsyncClient, step: Step, password: str) -> httpx.Response:
    form = {"name": step.name, "password": password if step.password == "right" else "wrong"}
    token = (client.cookies.get("csrftoken") if step.form else None) or ""
    return await client.request(
        step.method, step.path, data=form if step.name else None, headers={"X-CSRFToken": token}
    )


def _told(step: Step, status: int) -> str:
    return f"{step.method} {step.path} {status}"
