"""The report for a person: what is wrong first, then what is as it should be."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_kpi.diagnosis.report import Finding, Report

_MARKS = {"error": "✗", "warning": "!", "note": "·"}
_WIDTH = 100
_NOT_IN_USE = frozenset({"armed", "skipped"})


def render(report: Report, *, everything: bool = False) -> str:
    """Write a report.

    Args:
        report: What was found.
        everything: With every setting and library, not only those that are not as by default.
    """
    return "\n".join(_lines(report, everything=everything))


def _lines(report: Report, *, everything: bool) -> Iterator[str]:
    known = " · ".join(f"{name} {version}" for name, version in list(report.versions.items())[:4])
    yield f"otel-kpi doctor: {report.subject}"
    yield f"  {known}"
    yield ""
    for finding in report.findings:
        yield from _finding(finding)
    if not report.findings:
        yield "✓ nothing is wrong"
    yield from _trips(report)
    yield from _counts(report)
    yield from _libraries(report, everything=everything)
    yield from _settings(report, everything=everything)
    yield ""
    errors = sum(finding.severity == "error" for finding in report.findings)
    warnings = sum(finding.severity == "warning" for finding in report.findings)
    yield f"{_number(errors, 'error')}, {_number(warnings, 'warning')}"


def _finding(finding: Finding) -> Iterator[str]:
    mark = _MARKS[finding.severity]
    yield from textwrap.wrap(
        finding.what, _WIDTH, initial_indent=f"{mark} ", subsequent_indent="  ", break_on_hyphens=False
    )
    if finding.advice:
        # Not wrapped: what is to be typed is copied whole.
        yield f"    → {finding.advice}"


def _trips(report: Report) -> Iterator[str]:
    if not report.trips:
        return
    yield ""
    yield "Round trip"
    for trip in report.trips:
        mark = "✓" if trip.answer == "accepted" else "·" if trip.answer == "not tried" else "✗"
        took = f" in {trip.seconds * 1000:.0f} ms" if trip.seconds else ""
        reason = f": {trip.reason}" if trip.reason else ""
        protocol = f" ({trip.protocol})" if trip.protocol else ""
        yield f"  {mark} {trip.signal:<8} {trip.destination}{protocol}  {trip.answer}{took}{reason}"
        if trip.sent:
            yield f"             sent: {trip.sent}"


def _counts(report: Report) -> Iterator[str]:
    if not report.counts:
        return
    yield ""
    yield "Sent so far"
    for count in report.counts:
        lost = sum(count.lost.values())
        yield f"    {count.signal:<8} {count.destination}  {count.sent} sent, {count.waiting} waiting, {lost} lost"


def _libraries(report: Report, *, everything: bool) -> Iterator[str]:
    shown = [
        each
        for each in report.libraries
        if everything or report.pid is None or each.state not in _NOT_IN_USE or each.version
    ]
    if not shown:
        return
    yield ""
    yield "Libraries"
    for each in shown:
        name = f"{each.name} {each.version}".strip()
        yield f"    {name:<32} {each.state}{f': {each.reason}' if each.reason else ''}"


def _settings(report: Report, *, everything: bool) -> Iterator[str]:
    shown = [row for row in report.settings if everything or row.origin != "default"]
    if not shown:
        return
    yield ""
    yield "Settings" if everything else "Settings that are not the default"
    for row in shown:
        yield f"    {row.keyword:<32} {row.value}  ({row.origin})"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
