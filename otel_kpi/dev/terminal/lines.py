"""A trace as lines: a tree of styled words, one plain line, or JSON. What came from outside can style nothing."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.telemetry import CLIENT, ERROR, SERVER
from otel_kpi.dev.viewer import formats
from otel_kpi.dev.viewer.formats import elapsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from otel_kpi.dev.terminal.gathering import Drawn, Gathered

Words = list[tuple[str, str]]
"""Words of a line with the style of each, as rich names it."""
MOST_LINES: Final = 12
DEEPEST: Final = 8
_LONGEST: Final = 60
_SECOND_NS: Final = 1_000_000_000


def clean(text: str, longest: int = _LONGEST) -> str:
    """A text that moves no cursor and turns no colour: signs that are not printed are shown as such."""
    kept = "".join(sign if sign.isprintable() else "·" for sign in text[: longest + 1])
    return kept if len(kept) <= longest else f"{kept[: longest - 1]}…"


def money(cost: Mapping[str, Decimal]) -> str:
    """Amounts by currency, as the pages say them; amounts of two are never added."""
    return " + ".join(formats.money(amount, clean(currency, 12)) for currency, amount in sorted(cost.items()))


def clock(time_ns: int) -> str:
    """The local time of day; of a time that no calendar has, signs in its place."""
    try:
        return datetime.fromtimestamp(time_ns / _SECOND_NS, UTC).astimezone().strftime("%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "--:--:--"


def headline(trace: Gathered) -> Words:
    """What happened, how long it took, what it cost."""
    head = trace.head
    words: Words = [
        (clock(trace.start_ns), "dim"),
        ("✗" if trace.errors else "●", "bold red" if trace.errors else "green"),
        (clean(head.span.name), "bold"),
        (clean(head.service, 30), "cyan"),
        (elapsed(max(0, trace.end_ns - trace.start_ns)), ""),
        (f"{trace.count} span{'s' * (trace.count != 1)}", "dim"),
    ]
    if trace.more:
        words.insert(2, ("+", "dim"))
    elif trace.root is None:
        words.append(("no root yet", "dim"))
    if trace.statements:
        words.append((f"{trace.statements} SQL", ""))
    if trace.llm_calls:
        words.append((f"{trace.llm_calls} LLM", "magenta"))
    if trace.cost:
        words.append((money(trace.cost), "magenta"))
    if trace.errors:
        words.append((f"{trace.errors} error{'s' * (trace.errors != 1)}", "bold red"))
    return words


def _warning(trace: Gathered) -> Words:
    return [(f"N+1: {repeat.times}× {clean(repeat.statement)}", "yellow") for repeat in trace.repeats[:1]]


def tree(trace: Gathered) -> list[Words]:
    """The headline and, below of it, the spans that say most."""
    below: dict[bytes, list[Drawn]] = defaultdict(list)
    known = {drawn.span.span_id for drawn in trace.spans}
    head = trace.head
    for drawn in sorted(trace.spans, key=lambda each: each.span.start_ns):
        if drawn is not head:
            parent = drawn.span.parent_id if drawn.span.parent_id in known else head.span.span_id
            below[parent].append(drawn)
    lines = [headline(trace)]
    if warning := _warning(trace):
        lines.append([("        ", ""), *warning])
    told = 1
    for line, spans in _branches(below, head, "         "):
        if len(lines) > MOST_LINES:
            break
        lines.append(line)
        told += spans
    if told < trace.count:
        lines.append([("         ", ""), (f"… {trace.count - told} more spans", "dim")])
    return lines


def _branches(
    below: Mapping[bytes, list[Drawn]], around: Drawn, margin: str, path: frozenset[bytes] = frozenset()
) -> Iterator[tuple[Words, int]]:
    """Lines with how many spans each stands for; a span that is its own ancestor ends its branch."""
    parent = around.span.span_id
    if parent in path or len(path) >= DEEPEST:
        return
    runs: list[list[Drawn]] = []
    stands_for: list[int] = []
    for child in below.get(parent, ()):
        drawn = _answered(below, child)
        if runs and (runs[-1][0].service, runs[-1][0].span.name) == (drawn.service, drawn.span.name):
            runs[-1].append(drawn)
        else:
            runs.append([drawn])
            stands_for.append(0)
        stands_for[-1] += 1 + (drawn is not child)
    for number, run in enumerate(runs):
        last = number == len(runs) - 1
        yield [(margin + ("└─" if last else "├─"), "dim"), *_said(run, around.service)], stands_for[number]
        if len(run) == 1:
            further = margin + ("  " if last else "│ ")
            yield from _branches(below, run[0], further, path | {parent})


def _answered(below: Mapping[bytes, list[Drawn]], drawn: Drawn) -> Drawn:
    """The span of the server in place of the client's that waits for it: both say the same."""
    answers = below.get(drawn.span.span_id, ())
    return (
        answers[0]
        if drawn.span.kind == CLIENT and len(answers) == 1 and answers[0].span.kind == SERVER
        else drawn
    )


def _said(run: list[Drawn], caller: str) -> Words:
    first = run[0]
    failed = any(drawn.span.status == ERROR for drawn in run)
    total = sum(max(0, drawn.span.end_ns - drawn.span.start_ns) for drawn in run)
    words: Words = [(clean(first.span.name), "red" if failed else "")]
    if first.service != caller:
        words.append((clean(first.service, 30), "cyan"))
    if first.to and first.span.kind == CLIENT:
        words.append((f"→ {clean(first.to, 30)}", "dim"))
    if len(run) > 1:
        words.append((f"×{len(run)} Σ", "yellow" if first.statement is not None else "dim"))
    words.append((elapsed(total), "dim"))
    words += [
        (money({drawn.cost[1]: drawn.cost[0]}), "magenta") for drawn in run[:1] if drawn.cost is not None
    ]
    if failed:
        message = next((drawn.span.status_message for drawn in run if drawn.span.status_message), "error")
        words.append((f"✗ {clean(message)}", "red"))
    return words


def plain(trace: Gathered) -> str:
    """One line without a style."""
    return " ".join(word for word, _ in (*headline(trace), *_warning(trace)))


def as_json(trace: Gathered, address: str) -> str:
    """One line of JSON; amounts are decimals as text, times nanoseconds since 1970."""
    head = trace.head
    said: dict[str, Any] = {
        "trace_id": trace.trace_id,
        "name": head.span.name,
        "service": head.service,
        "start_ns": trace.start_ns,
        "duration_ns": max(0, trace.end_ns - trace.start_ns),
        "spans": trace.count,
        "errors": trace.errors,
        "services": sorted({drawn.service for drawn in trace.spans}),
        "statements": trace.statements,
        "repeats": [{"statement": repeat.statement, "times": repeat.times} for repeat in trace.repeats],
        "llm_calls": trace.llm_calls,
        "cost": {currency: str(amount) for currency, amount in trace.cost.items()},
        "root_missing": trace.root is None and not trace.more,
        "more": trace.more,
        "url": f"{address}/traces/{trace.trace_id}",
    }
    return json.dumps(said, separators=(",", ":"))
