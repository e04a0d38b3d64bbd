"""Reading back: the series that Prometheus has, or that the server shows at `/metrics`, against the plan."""

import math
import re
import time
from typing import Any

import httpx

from kpi_system.traffic.plan import Plan, series

OURS = re.compile(r"kpi_(etl|analytics|websocket|security)_|django_auth_")
EVERYWHERE = ("app", "version", "environment", "instance")
"""Labels that every series has."""
_ALSO = re.compile(r"__name__|job|otel_scope_.*|service_.*|deployment_.*")
_LINE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)(?: \d+)?$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ALL = '{{__name__=~"(kpi|django_auth)_[a-z0-9_]+", environment="{}"}}'
"""What recording rules make of them has a colon in its name."""
PAUSE = 0.5  # seconds between two questions

Found = dict[str, float]
"""By series, without the labels that all of them have."""


def in_prometheus(url: str, environment: str) -> Found:
    """Return the series of one environment, whichever service they are of."""
    query = _ALL.format(environment)
    answer: Any = httpx.get(
        f"{url}/api/v1/query", params={"query": query}, timeout=30, trust_env=False
    ).json()
    return _added((each["metric"], float(each["value"][1])) for each in answer["data"]["result"])


def in_text(text: str) -> Found:
    """Return the series of a text in Prometheus' format."""
    lines = (match for line in text.splitlines() if not line.startswith("#") and (match := _LINE.match(line)))
    return _added(
        (dict(_LABEL.findall(match["labels"] or "")) | {"__name__": match["name"]}, float(match["value"]))
        for match in lines
    )


def lacking(url: str, environment: str) -> list[dict[str, str]]:
    """Return the series of an environment that have not all of the labels that every series has."""
    query = _ALL.format(environment)
    answer: Any = httpx.get(
        f"{url}/api/v1/query", params={"query": query}, timeout=30, trust_env=False
    ).json()
    found: list[dict[str, str]] = [each["metric"] for each in answer["data"]["result"]]
    return [each for each in found if not all(each.get(name) for name in EVERYWHERE)] or (
        [] if found else [{"": "no series at all"}]
    )


def differences(plan: Plan, found: Found) -> list[str]:
    """Return a line for every series that is not as planned, and for every one that nobody planned."""
    lines = [
        f"{key}: expected {value:g}, got {found.get(key, math.nan):g}"
        for key, value in sorted(plan.counts.items())
        if not math.isclose(found.get(key, math.nan), value)
    ]
    lines += [f"{key}: is not there" for key in sorted(plan.present - found.keys())]
    lines += [
        f"{key}: expected {least:g} or more, got {found.get(key, math.nan):g}"
        for key, least in sorted(plan.least.items())
        if not found.get(key, math.nan) >= least
    ]
    planned = plan.counts.keys() | plan.present | plan.possible | plan.least.keys()
    # What is 0 from the start, so that a rate has something to begin with, is no surprise.
    lines += [
        f"{key}: nobody planned it, {found[key]:g}"
        for key in sorted(found.keys() - planned)
        if OURS.match(key) and not re.search(r"_(sum|bucket)\{", key) and found[key]
    ]
    return lines


def agree(plan: Plan, url: str, environment: str, within: float) -> list[str]:
    """Ask Prometheus until it agrees with the plan or the time is up; return what still differs."""
    deadline = time.monotonic() + within
    while True:
        lines = differences(plan, in_prometheus(url, environment))
        if not lines or time.monotonic() > deadline:
            return lines
        time.sleep(PAUSE)  # Prometheus has no event for "arrived"; `within` ends it


def _added(readings: Any) -> Found:
    found: Found = {}
    for labels, value in readings:
        own = {
            key: each for key, each in labels.items() if key not in EVERYWHERE and not _ALSO.fullmatch(key)
        }
        key = series(labels["__name__"], **own)
        found[key] = found.get(key, 0) + value
    return found
