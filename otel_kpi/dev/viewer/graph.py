"""Who calls whom as a drawing from left to right. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from markupsafe import Markup, escape

from otel_kpi.dev.viewer.formats import tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_kpi.dev.views import Dependency

MOST_SERVICES: Final = 150
"""Services that are drawn, those with the most calls; the table beside has all."""
_WIDE: Final = 168
_HIGH: Final = 46
_ACROSS: Final = 270
_DOWN: Final = 74
_MARGIN: Final = 24
_SWEEPS: Final = 6
_LONGEST: Final = 19


@dataclass(slots=True)
class Node:
    """A service and where it stands, in pixels."""

    service: str
    x: float = 0.0
    y: float = 0.0
    calls: int = 0
    errors: int = 0


def _layers(  # noqa: C901 - a walk without recursion
    services: Sequence[str], edges: Sequence[Dependency]
) -> dict[str, int]:
    """How far to the right each stands: after everything that calls it, circles aside."""
    calls: dict[str, list[str]] = defaultdict(list)
    called: set[str] = set()
    for edge in edges:
        if edge.parent != edge.child:
            calls[edge.parent].append(edge.child)
            called.add(edge.child)
    order: list[str] = []
    state: dict[str, int] = {}
    # Those that nobody calls first: a circle is then cut where it leads back.
    for root in sorted(services, key=lambda service: (service in called, service)):
        waiting: list[tuple[str, int]] = [(root, 0)]
        while waiting:
            service, at = waiting.pop()
            if at == 0:
                if state.get(service):
                    continue
                state[service] = 1
            following = calls[service]
            if at < len(following):
                waiting.append((service, at + 1))
                if not state.get(following[at]):
                    waiting.append((following[at], 0))
            else:
                state[service] = 2
                order.append(service)
    place = {service: number for number, service in enumerate(reversed(order))}
    layer = dict.fromkeys(services, 0)
    for service in reversed(order):
        for child in calls[service]:
            if place[child] > place[service]:
                layer[child] = max(layer[child], layer[service] + 1)
    return layer


def place(edges: Sequence[Dependency]) -> list[Node]:
    """Put services into columns, each near those that it has to do with."""
    nodes: dict[str, Node] = {}
    near: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        for service in (edge.parent, edge.child):
            nodes.setdefault(service, Node(service))
        nodes[edge.child].calls += edge.calls
        nodes[edge.child].errors += edge.errors
        near[edge.parent].append(edge.child)
        near[edge.child].append(edge.parent)
    columns: dict[int, list[str]] = defaultdict(list)
    for service, layer in _layers(sorted(nodes), edges).items():
        columns[layer].append(service)
    tallest = max((len(column) for column in columns.values()), default=0)
    for layer, column in columns.items():
        for number, service in enumerate(column):
            nodes[service].x = _MARGIN + layer * _ACROSS
            nodes[service].y = number
    for sweep in range(_SWEEPS):
        for layer in sorted(columns, reverse=bool(sweep % 2)):
            column = columns[layer]
            middle = {
                service: sum(nodes[other].y for other in near[service]) / len(near[service])
                for service in column
            }
            column.sort(key=lambda service: (middle[service], service))
            for number, service in enumerate(column):
                nodes[service].y = number + (tallest - len(column)) / 2
    for node in nodes.values():
        node.y = _MARGIN + node.y * _DOWN
    return sorted(nodes.values(), key=lambda node: (node.x, node.y))


def draw(edges: Sequence[Dependency], colours: Mapping[str, int]) -> Markup:
    """The services and their calls; thickness by number, failures in red and with a sign."""
    kept = _most(edges)
    nodes = place(kept)
    if not nodes:
        return Markup()
    at = {node.service: node for node in nodes}
    width = max(node.x for node in nodes) + _WIDE + _MARGIN
    height = max(node.y for node in nodes) + _HIGH + _MARGIN + 20
    lines = "".join(_line(edge, at[edge.parent], at[edge.child]) for edge in kept)
    boxes = "".join(_box(node, colours[node.service]) for node in nodes)
    return Markup(  # noqa: S704 - names went through `escape`
        f'<svg class="graph" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="group" '
        f'aria-label="Calls between {len(nodes)} services; the table has the numbers">'
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0 0L8 4L0 8z"/></marker></defs>{lines}{boxes}</svg>'
    )


def _most(edges: Sequence[Dependency]) -> list[Dependency]:
    calls: dict[str, int] = defaultdict(int)
    for edge in edges:
        calls[edge.parent] += edge.calls
        calls[edge.child] += edge.calls
    drawn = set(sorted(calls, key=lambda service: (-calls[service], service))[:MOST_SERVICES])
    return [edge for edge in edges if edge.parent in drawn and edge.child in drawn]


def _line(edge: Dependency, parent: Node, child: Node) -> str:
    """A curve from right to left side; back to the left it goes below, to itself it is a loop."""
    x1, y1, x2, y2 = parent.x + _WIDE, parent.y + _HIGH / 2, child.x, child.y + _HIGH / 2
    if parent is child:
        x2 = parent.x + _WIDE
        path = f"M{x1 - 34} {parent.y + _HIGH}c0 26 30 26 30 2"
        middle = (x1 - 16, parent.y + _HIGH + 28)
    elif child.x > parent.x:
        bend = (x2 - x1) / 2
        path = f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
        middle = ((x1 + x2) / 2, (y1 + y2) / 2 - 6)
    else:
        low = max(y1, y2) + _HIGH
        path = f"M{x1 - _WIDE / 2} {parent.y + _HIGH}C{x1 - _WIDE / 2} {low + 20} {x2 + _WIDE / 2} {low + 20} {x2 + _WIDE / 2} {child.y + _HIGH}"
        middle = ((x1 - _WIDE / 2 + x2 + _WIDE / 2) / 2, low + 14)
    thick = 1.2 + math.log10(max(1, edge.calls)) * 0.9
    said = tokens(edge.calls) + (f" ✕{tokens(edge.errors)}" if edge.errors else "")
    text = f"{edge.parent} calls {edge.child}: {edge.calls:,}" + (
        f", {edge.errors:,} failed" if edge.errors else ""
    )
    return (
        f'<g class="edge{" bad" if edge.errors else ""}"><title>{escape(text)}</title>'
        f'<path d="{path}" stroke-width="{thick:.1f}" marker-end="url(#arrow)"/>'
        f'<text x="{middle[0]:.0f}" y="{middle[1]:.0f}">{escape(said)}</text></g>'
    )


def _box(node: Node, colour: int) -> str:
    name = node.service if len(node.service) <= _LONGEST else node.service[: _LONGEST - 1] + "…"
    calls = f"{tokens(node.calls)} call{'s' * (node.calls != 1)}" if node.calls else "nobody calls it"
    failed = f'<tspan class="bad"> ✕{tokens(node.errors)}</tspan>' if node.errors else ""
    where = escape("/traces?" + urlencode({"service": node.service}))
    return (
        f'<a href="{where}" class="node s{colour}"><title>{escape(node.service)}</title>'
        f'<rect x="{node.x}" y="{node.y}" width="{_WIDE}" height="{_HIGH}" rx="9"/>'
        f'<rect class="stripe" x="{node.x}" y="{node.y + 9}" width="4" height="{_HIGH - 18}" rx="2"/>'
        f'<text class="name" x="{node.x + 15}" y="{node.y + 20}">{escape(name)}</text>'
        f'<text x="{node.x + 15}" y="{node.y + 36}">{escape(calls)}{failed}</text></a>'
    )
