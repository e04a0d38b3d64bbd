"""Telemetry itself: what came, what could not be kept and why, what its senders lost, and how full the store is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse
from starlette.routing import Route

from otel_kpi.dev.store.reading import intake
from otel_kpi.dev.viewer import charts, drawing, formats
from otel_kpi.dev.viewer.rendering import here, page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev
    from otel_kpi.dev.store.reading.intake import Minute, Sender

OUTCOMES: Final = {
    "duplicate": "Came before and is not kept again: the sender did not hear that it had arrived.",
    "late": "Came long after it had happened.",
    "future": "Its time has not come yet: a clock is wrong.",
    "dropped": "Attributes, events and links that the sender left out, for its limits.",
    "rejected": "Spans, points and records that cannot be kept.",
    "malformed": "Requests that are no OTLP.",
    "refused": "Requests that came while too much waited; the sender is told to come again.",
    "failed": "Requests that could not be written: the disk is full, or the file cannot be written.",
}
"""What happened, beside `accepted`; those after `dropped` were not kept."""
LOST: Final = ("rejected", "malformed", "refused", "failed")
_SPANS: Final = (("15", "15 min"), ("60", "1 h"), ("360", "6 h"), ("1440", "24 h"))
_MINUTE_NS: Final = intake.MINUTE_NS
_BARS: Final = 60


@dataclass(slots=True)
class Trouble:
    """An outcome of one service and signal, over the time that is shown."""

    outcome: str
    signal: str
    service: str
    items: int
    minute: int
    last: str


def _telemetry(request: Request) -> Response:
    """The page."""
    dev: Dev = request.app.state.dev
    if dev.store is None:
        return RedirectResponse("/traces", 303)
    reader = dev.store.reader()
    present = intake.this_minute()
    chosen = request.query_params.get("minutes", "")
    if chosen not in dict(_SPANS):
        chosen = _usual(intake.first_minute(reader), present)
    since = present - int(chosen) + 1
    minutes = intake.minutes(reader, since=since)
    return page(
        request,
        "telemetry.html",
        accepted=_accepted(minutes, since, present),
        lost=_lost(minutes, since, present),
        troubles=troubles(minutes),
        senders=by_service(intake.senders(reader)),
        outcomes=OUTCOMES,
        not_kept=LOST,
        counts={
            name: sum(each.items for each in minutes if each.outcome == name)
            for name in ("accepted", *OUTCOMES)
        },
        kept=intake.kept(reader),
        losses=intake.losses(reader),
        cut=intake.cut(reader),
        clocks=intake.clocks(reader),
        spans=[(text, here(request, minutes=value), value == chosen) for value, text in _SPANS],
        chosen=dict(_SPANS)[chosen],
        minute_ns=_MINUTE_NS,
        most_bytes=getattr(dev.store, "most_bytes", None),
        most_seconds=getattr(dev.store, "most_seconds", None),
    )


def _usual(first: int | None, present: int) -> str:
    """The last hour, or less where less has everything."""
    (shortest, _), (usual, _), *_ = _SPANS
    return shortest if first is not None and present - first < int(shortest) else usual


def troubles(minutes: Sequence[Minute]) -> list[Trouble]:
    """What was not simply accepted, by outcome, signal and service; what was lost first."""
    found: dict[tuple[str, str, str], Trouble] = {}
    for each in minutes:
        if each.outcome == "accepted":
            continue
        one = found.setdefault(
            (each.outcome, each.signal, each.service),
            Trouble(each.outcome, each.signal, each.service, 0, each.minute, each.last),
        )
        one.items += each.items
        one.last = one.last or each.last
    order = {name: at for at, name in enumerate(dict.fromkeys((*LOST, *OUTCOMES)))}
    return sorted(found.values(), key=lambda each: (order.get(each.outcome, 0), -each.items))


def by_service(senders: Sequence[Sender]) -> list[tuple[str, dict[str, int], int]]:
    """By service how many of each signal were accepted, and the minute of the last."""
    found: dict[str, tuple[dict[str, int], int]] = {}
    for each in senders:
        counts, last = found.get(each.service, ({}, 0))
        found[each.service] = counts | {each.signal: each.items}, max(last, each.minute)
    return [(service, counts, last) for service, (counts, last) in found.items()]


def _accepted(minutes: Sequence[Minute], since: int, present: int) -> str:
    return _bars(minutes, since, present, {"traces": ("spans", 0), "metrics": ("points", 1), "logs": ("log records", 2)}, "Accepted")  # fmt: skip


def _bars(
    minutes: Sequence[Minute],
    since: int,
    present: int,
    names: dict[str, tuple[str, drawing.Colour]],
    title: str,
) -> str:
    width = max(1, -(-(present - since + 1) // _BARS))
    series: list[charts.Series] = []
    for signal, (label, colour) in names.items():
        counted: dict[int, int] = {}
        for each in minutes:
            if each.signal == signal and each.outcome == "accepted":
                column = since + (each.minute - since) // width * width
                counted[column] = counted.get(column, 0) + each.items
        if counted:
            points = [(float(at * _MINUTE_NS), count) for at, count in sorted(counted.items())]
            series.append(charts.Series(label, points, colour))
    return charts.stacked(
        series, title=f"{title}, by {formats.duration(width * _MINUTE_NS)}", start_ns=since * _MINUTE_NS, end_ns=(present + 1) * _MINUTE_NS, step_ns=width * _MINUTE_NS,
        height=120,
    )  # fmt: skip


def _lost(minutes: Sequence[Minute], since: int, present: int) -> str:
    """What was not kept, over time; empty where everything was."""
    width = max(1, -(-(present - since + 1) // _BARS))
    counted: dict[int, int] = {}
    for each in minutes:
        if each.outcome in LOST:
            column = since + (each.minute - since) // width * width
            counted[column] = counted.get(column, 0) + each.items
    if not counted:
        return ""
    points = [(float(at * _MINUTE_NS), count) for at, count in sorted(counted.items())]
    return charts.stacked(
        [charts.Series("not kept", points, drawing.ERROR)], title=f"Not kept, by {formats.duration(width * _MINUTE_NS)}",
        start_ns=since * _MINUTE_NS, end_ns=(present + 1) * _MINUTE_NS, step_ns=width * _MINUTE_NS, height=70,
    )  # fmt: skip


ROUTES: Final[list[BaseRoute]] = [Route("/telemetry", _telemetry)]
