"""The reference page of a pack, in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_kpi.model import Histogram
from otel_kpi.reference.catalogue import entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_kpi.model import Attribute, Derivation, Event, Instrument, Pack, Renamed, Span

_KINDS = {
    "counter": "counter",
    "updowncounter": "up-down counter",
    "gauge": "gauge",
    "histogram": "histogram",
}


def page(pack: Pack) -> str:
    """The page docs/reference/<pack>.md."""
    return "\n".join(_lines(pack)) + "\n"


def index(packs: Iterable[Pack]) -> str:
    """The page docs/reference/index.md: every instrument in one table."""
    packs = tuple(packs)
    lines = [
        "<!-- Generated from otel_kpi/packs/*/instruments.py by `otel-kpi generate`; do not edit. -->",
        "# Reference: everything that is measured",
        "",
        "`otel-kpi catalogue` prints it for what is installed, `--json` for programs.",
        "",
        "| Prometheus | Kind | Labels | Pack |",
        "|---|---|---|---|",
    ]
    for entry in entries(packs):
        labels = ", ".join(f"`{label}`" for label in entry.labels) or "–"
        lines.append(
            f"| `{entry.prometheus}` | {_KINDS[entry.kind]} | {labels} | [{entry.pack}]({entry.pack}.md) |"
        )
    return "\n".join(lines) + "\n"


def _lines(pack: Pack) -> Iterator[str]:
    yield f"<!-- Generated from otel_kpi/packs/{pack.name}/instruments.py by `otel-kpi generate`; do not edit. -->"
    yield f"# Reference: {pack.title}"
    yield ""
    yield pack.brief
    yield ""
    yield from _section("Instruments", (_instrument(pack, each) for each in pack.instruments))
    yield from _section("Spans", map(_span, pack.spans))
    yield from _section("Events", map(_event, pack.events))
    yield from _table(
        "Series that follow from others",
        "Each measurement of | that has | is one of | as",
        map(_derivation, pack.derivations),
    )
    yield from _table("Names that were given up", "Name | Now | Since | Why", map(_renamed, pack.renamed))


def _section(title: str, entries_of_it: Iterable[Iterable[str]]) -> Iterator[str]:
    lines = [line for each in entries_of_it for line in each]
    if lines:
        yield from (f"## {title}", "", *lines)


def _table(title: str, head: str, rows: Iterable[str]) -> Iterator[str]:
    lines = list(rows)
    if lines:
        columns = head.count("|") + 1
        yield from (f"## {title}", "", f"| {head} |", "|" + "---|" * columns, *lines, "")


def _renamed(renamed: Renamed) -> str:
    now = f"`{renamed.new}`" if renamed.new else "–"
    return f"| `{renamed.old}` | {now} | {renamed.version} | {renamed.reason} |"


def _instrument(pack: Pack, instrument: Instrument) -> Iterator[str]:
    [entry] = entries([type(pack)(name=pack.name, title="", brief="", instruments=(instrument,))])
    yield f"### `{entry.prometheus}`"
    yield ""
    yield instrument.brief
    yield ""
    kind = _KINDS[instrument.kind] + (", read at each collection" if instrument.observable else "")
    yield f"- OpenTelemetry: {kind} `{entry.name}`, unit `{instrument.unit}`"
    if isinstance(instrument, Histogram):
        yield f"- Buckets: {', '.join(f'{bound:g}' for bound in instrument.buckets)}"
    yield f"- At most {entry.series} series" + (
        ", beside the one for overflow" if instrument.attributes else ""
    )
    asked = [*instrument.systems, instrument.source]
    yield f"- Asked for by: {', '.join(each for each in asked if each)}"
    if instrument.compatibility:
        yield "- Recorded while `OTEL_KPI_COMPATIBILITY_SERIES` is on"
    if instrument.exempt:
        yield f"- Breaks OpenTelemetry's naming: {instrument.exempt}"
    yield ""
    yield from _attributes(instrument.attributes, budgets=True)


def _span(span: Span) -> Iterator[str]:
    yield f"### `{span.name}`"
    yield ""
    yield f"{span.brief} Kind: {span.kind}."
    yield ""
    yield from _attributes(span.attributes, budgets=False)


def _event(event: Event) -> Iterator[str]:
    yield f"### `{event.name}`"
    yield ""
    yield event.brief
    yield ""
    yield from _attributes(event.attributes, budgets=False)


def _attributes(attributes: tuple[Attribute, ...], *, budgets: bool) -> Iterator[str]:
    if not attributes:
        return
    yield (
        "| Attribute | Values | What it says |"
        if not budgets
        else "| Attribute | Values | At most | What it says |"
    )
    yield "|---|---|---|" if not budgets else "|---|---|---|---|"
    for each in attributes:
        values = ", ".join(f"`{value}`" for value in each.members)
        if not values:
            values = ", ".join(f"`{value}`" for value in each.examples)
            values = f"{each.type}, for example {values}" if values else each.type
        brief = each.brief if each.required else f"{each.brief} Not always there."
        most = f" {each.values} |" if budgets else ""
        yield f"| `{each.name}` | {values} |{most} {brief} |"
    yield ""


def _derivation(derivation: Derivation) -> str:
    where = ", ".join(
        f"`{name}`" + (f" = {' or '.join(values)}" if values else "")
        for name, values in derivation.where.items()
    )
    named = [
        f"`{each.name}` from " + " or ".join(f"`{source.removeprefix('=')}`" for source in sources)
        for each, sources in zip(derivation.target.attributes, derivation.attributes, strict=True)
    ]
    target = derivation.target.name.replace("{", "<").replace("}", "_prefix>")
    amount = "" if derivation.amount == "value" else "counted; "
    return f"| `{derivation.source}` | {where or '–'} | `{target}` | {amount}{', '.join(named) or 'no attributes'} |"
