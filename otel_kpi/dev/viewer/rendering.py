"""From what was found to a page: the templates, what they can say of a value, and what every page shows.

Everything is escaped unless it is `Markup`, and `Markup` is made here and in the string builders alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from otel_kpi.dev.viewer import files, formats
from otel_kpi.dev.viewer.navigation import navigation
from otel_kpi.dev.viewer.reception import reception

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2.runtime import Context
    from starlette.requests import Request

    from otel_kpi.dev.state import Dev

COLOURS: Final = 20
"""Colours of services: `--service-0` to `--service-19` in `base.css`."""
THEME_COOKIE: Final = "otel_kpi_theme"
"""`dark` or `light`, when somebody has chosen; else what the system prefers."""
_LINKS: Final = ("http://", "https://", "mailto:")
_TEMPLATES: Final = Path(__file__).parent / "templates"
_KEPT: Final = "colours"


class Colours(Mapping[str, int]):
    """The colour of each service: what the store has given it; of another system's, one by its name."""

    def __init__(self, stored: Mapping[str, int]) -> None:
        self._stored = stored

    def __getitem__(self, service: str) -> int:
        colour = self._stored.get(service)
        return (zlib.crc32(service.encode("utf-8", "replace")) if colour is None else colour) % COLOURS

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def colours(request: Request) -> Colours:
    """Colours of the services, read once for a page."""
    kept: Colours | None = getattr(request.state, _KEPT, None)
    if kept is None:
        dev: Dev = request.app.state.dev
        if dev.store is None:
            # Distinct as long as there are no more services than colours; in the order in which they are listed.
            stored = {name: number % COLOURS for number, name in enumerate(dev.traces.services())}
        else:
            rows = dev.store.reader().execute("SELECT name, colour FROM service")
            stored = {str(name): int(colour) for name, colour in rows}
        kept = Colours(stored)
        setattr(request.state, _KEPT, kept)
    return kept


def page(request: Request, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """A whole page.

    Args:
        request: What asks for it; its `app.state.dev` has what every page shows.
        template: Its name in `templates/`.
        status_code: Of HTTP.
        **values: What the template names.
    """
    dev: Dev = request.app.state.dev
    theme = request.cookies.get(THEME_COOKIE, "")
    shown = {
        "request": request,
        "dev": dev,
        "theme": theme if theme in {"dark", "light"} else "",
        "navigation": navigation(request.url.path, store=dev.store is not None),
        "failing": "" if dev.intake is None else dev.intake.failing,
        # Not where the store itself cannot be read.
        "reception": None if "reception" in values else reception(dev.store),
        **values,
    }
    return HTMLResponse(environment().get_template(template).render(shown), status_code)


def fragment(request: Request, template: str, **values: Any) -> HTMLResponse:
    """A part of a page, for a script that puts it in its place."""
    return HTMLResponse(environment().get_template(template).render({"request": request, **values}))


def time(nanoseconds: int | None, form: str = "full") -> Markup:
    """A time as `<time>`: UTC as it stands, local once `times.js` has read it, the other of both on hover.

    Args:
        nanoseconds: Since 1970; None and 0 are a dash.
        form: `full` has the date, `clock` has not, `ago` says how long since.
    """
    if not nanoseconds:
        return Markup("–")
    try:
        moment = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):  # a clock that is centuries off
        return Markup("<span>{} ns</span>").format(nanoseconds)
    fraction = f"{nanoseconds % 1_000_000_000 // 1_000_000:03}"
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}Z"
    text = f"{moment:%H:%M:%S}.{fraction}" if form == "clock" else f"{moment:%Y-%m-%d %H:%M:%S}.{fraction}"
    return Markup('<time datetime="{}" data-ns="{}" data-form="{}" title="{} UTC">{}</time>').format(
        stamp, nanoseconds, form, stamp[:-1].replace("T", " "), text
    )


def link(url: object, text: str | None = None) -> Markup:
    """What may be a link as one; other schemes stay text, whatever a span says."""
    address = str(url)
    if not address.lower().startswith(_LINKS):
        return escape(address if text is None else text)
    return Markup('<a href="{}" rel="noreferrer noopener" target="_blank">{}</a>').format(
        address, text or address
    )


def here(request: Request, **changes: object) -> str:
    """The address of this page with some of its query changed; None and empty take a part away, a list stands as often."""
    query = [pair for pair in request.query_params.multi_items() if pair[0] not in changes]
    for key, value in changes.items():
        texts = cast("list[object]", value) if isinstance(value, list) else [value]
        query += [(key, str(text)) for text in texts if text not in {None, ""}]
    return f"{request.url.path}?{urlencode(query)}" if query else request.url.path


@pass_context
def service(context: Context, name: str) -> Markup:
    """The name of a service beside its stripe."""
    return Markup('<span class="service s{}">{}</span>').format(
        colours(cast("Request", context["request"]))[name], name
    )


@pass_context
def colour(context: Context, name: str) -> str:
    """The class with the colour of a service: `s0` to `s19`."""
    return f"s{colours(cast('Request', context['request']))[name]}"


@cache
def environment() -> Environment:
    """The templates and what they can say."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    cast("dict[str, Any]", made.globals).update(static=files.address, here=here)
    filters = {
        "bytes": formats.bytes_,
        "colour": colour,
        "count": formats.count,
        "duration": formats.duration,
        "link": link,
        "money": formats.money,
        "percent": formats.percent,
        "service": service,
        "several": formats.several,
        "time": time,
        "tokens": formats.tokens,
        "value": formats.value,
    }
    cast("dict[str, Any]", made.filters).update(filters)
    return made
