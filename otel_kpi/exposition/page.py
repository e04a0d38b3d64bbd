"""`/monitoring`: the figures as one page, drawn here, with nothing from elsewhere.

It renews itself each 30 seconds, by a small script in place, and where there are no scripts by loading anew. The
policy in its head admits its own style and its own script by their hashes, and no other.
"""

from __future__ import annotations

import base64
import hashlib
import math
import time
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from otel_kpi.exposition.labels import labels_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_kpi.exposition.figures import Durations, Figures, Number
    from otel_kpi.exposition.totals import Totals

HTML: Final = "text/html; charset=utf-8"

_NO_DATA: Final = '<dd class="none">not measured</dd>'
_NOTHING: Final = '<p class="quiet">not measured</p>'
_MOST_ROWS: Final = 12
_PERCENT: Final = 100.0
_MILLI, _MINUTE, _HOUR = 1000.0, 60.0, 3600.0


def written(figures: Figures, totals: Totals, now: float | None = None) -> bytes:
    """The page.

    Args:
        figures: To show.
        totals: Of whom they are.
        now: Seconds since 1970.
    """
    now = time.time() if now is None else now
    who = labels_of(totals.targets[0]) if totals.targets else {}
    title = who.get("app") or "Monitoring"
    version, environment = who.get("version", "unknown"), who.get("environment", "unknown")
    subtitle = " · ".join(
        each
        for each in (
            f"version {version}" if version != "unknown" else "",
            environment if environment != "unknown" else "",
        )
        if each
    )
    return _document(title, subtitle, _figures(figures, totals, now))


def refused(reason: str) -> bytes:
    """A page that says why there is nothing to see."""
    body = f'<main id="figures"><section class="wide"><h2>No metrics</h2><p>{escape(reason)}</p></section></main>'
    return _document("Monitoring", "", body)


def _figures(figures: Figures, totals: Totals, now: float) -> str:
    age = max(0.0, now - totals.oldest) if totals.oldest else 0.0
    moment = datetime.fromtimestamp(now, UTC)
    processes = "1 process" if totals.processes == 1 else f"{totals.processes} processes"
    sections = [
        _section("Requests by outcome", _outcomes(figures.requests)),
        _section("Sessions", _list({"Active sessions": _number(figures.sessions)})),
        _section("Requests by duration", _distribution(figures.latency)),
        _breakdown("Messages by role", figures.messages, "role"),
        _breakdown("Messages by language", figures.languages, "language"),
        _section(
            "AI",
            _list(
                {
                    "Requests": _number(figures.ai.count if figures.ai is not None else None),
                    "Average duration": _duration(_average(figures.ai)),
                    "Tokens": _number(figures.tokens),
                }
            ),
        ),
        _section(
            "Database",
            _list(
                {
                    "Connections in use": _number(figures.connections),
                    "Queries": _number(figures.queries.count if figures.queries is not None else None),
                    "Average duration": _duration(_average(figures.queries)),
                }
            ),
        ),
        _breakdown("Errors by type", figures.errors, "type"),
    ]
    return (
        f'<main id="figures"><p class="quiet">Figures of {processes} at '
        f'<time datetime="{moment.isoformat(timespec="seconds")}">{moment:%Y-%m-%d %H:%M:%S} UTC</time>, '
        f"the oldest {_duration(age) or '0 s'} old; counted since the service was started.</p>"
        f'<section class="wide"><h2>Requests</h2>{_overview(figures)}</section>'
        f'<div class="columns">{"".join(sections)}</div></main>'
    )


def _overview(figures: Figures) -> str:
    good, bad = figures.requests or (None, None)
    total = good + bad if good is not None and bad is not None else None
    share = f"{_PERCENT * bad / total:.3g} %" if bad and total else ""
    latency = figures.latency
    values = {
        "Requests": _number(total),
        "Success": _number(good),
        "Errors": _number(bad),
        "Average": _duration(_average(latency)),
        **{
            f"p{percent}": _quantile(latency, percent / _PERCENT) if latency is not None else None
            for percent in (50, 95, 99)
        },
    }
    marks = {"Success": "good" if good else "", "Errors": "bad" if bad else ""}
    return _list(values, marks, {"Errors": share})


def _outcomes(requests: tuple[int, int] | None) -> str:
    if requests is None:
        return _NOTHING
    good, bad = requests
    return _table(
        "Requests by outcome", "outcome", [("Success", good, "good-bar"), ("Errors", bad, "bad-bar")]
    )


def _distribution(latency: Durations | None) -> str:
    if latency is None:
        return _NOTHING
    rows: list[tuple[str, Number, str]] = []
    below, lower = 0, 0.0
    for bound, count in latency.buckets:
        if count > below:
            rows.append((_range(lower, bound), count - below, "bar"))
        below, lower = count, bound
    if latency.count > below:
        rows.append((f"over {_duration(lower)}", latency.count - below, "bar"))
    return _table("Requests by duration", "duration", rows, "ranges")


def _range(lower: float, upper: float) -> str:
    """`10–25 ms`, `500 ms–1 s`."""
    start, end = _duration(lower) or "", _duration(upper) or ""
    if not lower:
        return f"up to {end}"
    number, _, unit = start.partition(" ")
    return f"{number if end.endswith(' ' + unit) else start}–{end}"


def _breakdown(title: str, values: Mapping[str, Number] | None, name: str) -> str:
    if values is None:
        return _section(title, _NOTHING)
    rows: list[tuple[str, Number, str]] = [(key, value, "bar") for key, value in values.items()]
    if len(rows) > _MOST_ROWS:
        rest = rows[_MOST_ROWS - 1 :]
        rows = [*rows[: _MOST_ROWS - 1], (f"{len(rest)} more", sum(value for _, value, _ in rest), "bar")]
    return _section(title, _list({"Total": _number(sum(values.values()))}) + _table(title, name, rows))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _list(
    values: Mapping[str, str | None],
    marks: Mapping[str, str] = MappingProxyType({}),
    notes: Mapping[str, str] = MappingProxyType({}),
) -> str:
    parts: list[str] = []
    for name, value in values.items():
        mark = f' class="{marks[name]}"' if marks.get(name) else ""
        note = f" <small>{escape(notes[name])}</small>" if notes.get(name) else ""
        shown = _NO_DATA if value is None else f"<dd{mark}>{escape(value)}{note}</dd>"
        parts.append(f"<div><dt>{escape(name)}</dt>{shown}</div>")
    return f"<dl>{''.join(parts)}</dl>"


def _table(title: str, name: str, rows: Iterable[tuple[str, Number, str]], kind: str = "") -> str:
    rows = list(rows)
    most = max((value for _, value, _ in rows), default=0)
    if not rows or most <= 0:
        return '<p class="quiet">none</p>'
    lines = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td class="share">{_bar(value / most, color)}</td>'
        f'<td class="number">{escape(_number(value) or "")}</td></tr>'
        for key, value, color in rows
    )
    return (
        f'<table class="{kind}"><caption>{escape(title)}</caption><thead><tr>'
        f'<th scope="col">{escape(name.capitalize())}</th><th scope="col">Relative</th>'
        f'<th scope="col" class="number">Count</th></tr></thead><tbody>{lines}</tbody></table>'
    )


def _bar(share: float, kind: str) -> str:
    width = max(0.0, min(_PERCENT, _PERCENT * share))
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f'<rect class="track" width="100" height="10"/><rect class="{kind}" width="{width:.2f}" height="10"/></svg>'
    )


def _number(value: Number | None) -> str | None:
    if value is None:
        return None
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"
    return text.replace(",", "\u202f")  # a thin space, which no language takes for a decimal point


def _average(durations: Durations | None) -> float | None:
    return durations.average() if durations is not None else None


def _quantile(latency: Durations, share: float) -> str | None:
    value = latency.quantile(share)
    if value is not None and math.isinf(value):
        return f"over {_duration(latency.buckets[-1][0])}" if latency.buckets else None
    return _duration(value)


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    if seconds < 1:
        return f"{seconds * _MILLI:.3g} ms"
    if seconds < _MINUTE:
        return f"{seconds:.3g} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.3g} min"
    return f"{seconds / _HOUR:.3g} h"


def _document(title: str, subtitle: str, body: str) -> bytes:
    style, script, policy = _parts()
    subtitle = f'<p class="quiet">{escape(subtitle)}</p>' if subtitle else ""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<noscript><meta http-equiv="refresh" content="30"></noscript>'
        f'<title>{escape(title)} – monitoring</title><link rel="icon" href="data:,">'
        f"<style>{style}</style></head><body><header><div><h1>{escape(title)}</h1>"
        f"{subtitle}</div>"
        '<div class="controls"><p id="status" class="quiet" role="status" aria-live="polite">'
        'Updated every 30 seconds</p><button id="now" type="button" hidden>Update now</button>'
        '<button id="pause" type="button" aria-pressed="false" hidden>Pause</button></div></header>'
        f'{body}<footer class="quiet"><p>&ldquo;Not measured&rdquo; is not zero: nothing recorded it in this '
        "service. An error is an answer with status 400 or above.</p></footer>"
        f'<script type="module">{script}</script></body></html>'
    )
    return text.encode("utf-8", "replace")


@cache
def _parts() -> tuple[str, str, str]:
    """Style and script, and the policy that admits them."""
    here = files("otel_kpi.exposition")
    style = here.joinpath("page.css").read_text(encoding="utf-8")
    script = here.joinpath("page.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return style, script, policy


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
