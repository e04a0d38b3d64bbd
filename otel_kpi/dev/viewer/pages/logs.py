"""Logs: search by words, attributes, level, service and trace; the newest first, and as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from otel_kpi.dev import literals
from otel_kpi.dev.store.reading.logs import LogQuery, LogsFound, search
from otel_kpi.dev.viewer import asking
from otel_kpi.dev.viewer.rendering import fragment, here, page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev
    from otel_kpi.dev.views import LogView

LEVELS: Final = (("trace", 1), ("debug", 5), ("info", 9), ("warn", 13), ("error", 17), ("fatal", 21))
"""Names of levels and the least number of each, as OTLP has them."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question and what of it could not be understood."""

    query: LogQuery
    level: str
    not_understood: tuple[str, ...]

    @property
    def narrowed(self) -> bool:
        """Whether anything was asked for."""
        return self.query != LogQuery(before=self.query.before, after=self.query.after)


def level(severity: int) -> str:
    """The name of a level; empty of an unknown one."""
    return next((name for name, least in reversed(LEVELS) if severity >= least), "")


def level_class(severity: int) -> str:
    """The class with its colour; red from error on."""
    name = level(severity)
    return f"level-{ {'trace': 'debug', 'fatal': 'error'}.get(name, name) }" if name else ""


_WRITTEN: Final[dict[str, Any]] = {"levels": LEVELS, "level": level, "level_class": level_class}
"""What the templates write with."""


def _asked(request: Request) -> _Asked:
    query = request.query_params
    wrong: list[str] = []
    words, attributes = asking.words_and_attributes(query.get("q", ""))
    chosen = query.get("level", "")
    least = dict(LEVELS).get(chosen, 0)
    if chosen and not least:
        wrong.append(f"level={chosen[:40]}")
    trace = query.get("trace", "").strip().lower()
    if trace and asking.trace_id(trace) is None:
        wrong.append(f"trace={trace[:40]}")
        trace = ""
    wrong += [
        f"{key}={query[key][:40]}"
        for key in ("before", "after")
        if query.get(key) and literals.whole(query[key]) is None
    ]
    asked = LogQuery(
        text=words, service=query.get("service") or None, severity=least, trace_id=trace or None,
        attributes=attributes, before=literals.whole(query.get("before", "")),
        after=literals.whole(query.get("after", "")),
    )  # fmt: skip
    return _Asked(asked, chosen if least else "", tuple(wrong))


def _logs(request: Request) -> Response:
    """The list."""
    dev: Dev = request.app.state.dev
    asked = _asked(request)
    if dev.store is None:
        return page(request, "logs.html", found=LogsFound(), asked=asked, services=(), older=None, **_WRITTEN)
    reader = dev.store.reader()
    found = search(reader, asked.query)
    services = [row[0] for row in reader.execute("SELECT name FROM service ORDER BY name")]
    return page(
        request, "logs.html", found=found, asked=asked, services=services,
        older=here(request, before=found.before, after=None) if found.before is not None else None, **_WRITTEN,
    )  # fmt: skip


def _rows(request: Request) -> Response:
    """Rows alone: those after one that is already there."""
    dev: Dev = request.app.state.dev
    logs: list[LogView] = []
    if dev.store is not None:
        logs = search(dev.store.reader(), _asked(request).query).logs
    return fragment(request, "log_rows.html", logs=logs, **_WRITTEN)


ROUTES: Final[list[BaseRoute]] = [Route("/logs", _logs), Route("/logs/rows", _rows)]
