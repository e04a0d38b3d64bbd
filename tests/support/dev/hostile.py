"""What nobody should send, and what a receiver gets all the same."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.telemetry import Event, Exemplar, Link, LogRecord, Metric, Point, Resource, Scope, Span
from support.dev.made import (
    CLIENT,
    INTERNAL,
    MILLISECOND,
    SECOND,
    SERVER,
    START_NS,
    Made,
    attribute,
    attributes,
    resource,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_kpi.dev.telemetry import Request, Value

HTML: Final = "\"'><script>window.__executed = 1</script><img src=x onerror=window.__executed=1>{{7*7}}${7*7}</style></textarea>"
SQL: Final = "'; DROP TABLE span; -- \" OR 1=1 * NEAR(a b) AND \x00"
TEXTS: Final = (
    HTML,
    SQL,
    "javascript:window.__executed=1",
    "\u202egnp.exe\u0000\ud7ff�",
    "",
    " ",
    "\n\r\t",
    "a" * 5_000,
)
"""Texts for any field; none of them may run, break out or be lost."""


def in_every_field(text: str, *, number: int = 0) -> list[Request[Any]]:
    """A trace, a log record and a metric with a text wherever one can be: names, keys, values, scope, state."""
    draw = random.Random(f"{text}{number}")
    values = attributes({text: text, "http.route": text, "url.full": text, "db.query.text": text, "gen_ai.request.model": text,
                         "gen_ai.provider.name": text, "gen_ai.operation.name": "chat", "kpi.tenant": text, "kpi.feature": text,
                         "gen_ai.usage.input_tokens": 5, "gen_ai.usage.cost.amount": 0.5, "gen_ai.usage.cost.currency": text,
                         "gen_ai.input.messages": text, "gen_ai.output.messages": f'[{{"role":"{text[:3]}"', "list": [text, {text: text}],
                         "bytes": text.encode("utf-8", "replace")})  # fmt: skip
    sender, scope = (
        Resource(attributes({"service.name": text, text: text}), text, text),
        Scope(text, text, values[:1], text),
    )
    trace_id, span_id = draw.randbytes(16), draw.randbytes(8)
    span = Span(trace_id, span_id, b"", text, CLIENT, START_NS, START_NS + SECOND, values,
                [Event(text, START_NS, values), Event("exception", START_NS, attributes({"exception.type": text, "exception.message": text, "exception.stacktrace": text}))],
                [Link(draw.randbytes(16), draw.randbytes(8), values, text)], 2, text, text)  # fmt: skip
    run = Span(trace_id, draw.randbytes(8), span_id, f"run {text}", SERVER, START_NS, START_NS + SECOND,
               attributes({"kpi.etl.pipeline.name": text, "kpi.etl.run.id": text, "kpi.etl.validation.errors": [f"{text}=3"], "kpi.etl.quality_score": 50.0, "kpi.etl.result": text}))  # fmt: skip
    stage = Span(trace_id, draw.randbytes(8), run.span_id, f"{text} {text}", INTERNAL, START_NS, START_NS + SECOND,
                 attributes({"kpi.etl.pipeline.name": text, "kpi.etl.stage.name": text, "kpi.etl.stage.type": text, "kpi.etl.records.read": 3}))  # fmt: skip
    record = LogRecord(
        START_NS, START_NS, 17, text, attribute("", {text: [text]}), values, trace_id, span_id, text
    )
    metric = Metric(text, text, text, "gauge", [Point(values, 0, START_NS, value=1.0, exemplars=[Exemplar(1.0, START_NS, trace_id, span_id, values)])])  # fmt: skip
    requests: list[Request[Any]] = []
    for signal, items in (("traces", [span, run, stage]), ("logs", [record]), ("metrics", [metric])):
        request = together(signal, [(sender, text, item) for item in items])  # type: ignore[arg-type]
        for group in request.groups:
            group.scope = scope
        requests.append(request)
    return requests


def everywhere() -> Iterator[Request[Any]]:
    """`in_every_field` with each of `TEXTS`."""
    for number, text in enumerate(TEXTS):
        yield from in_every_field(text, number=number)


_COUNTED: Final = (
    "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.prompt_tokens", "gen_ai.usage.cost.amount",
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.response.time_to_first_chunk", "http.response.status_code", "kpi.etl.records.read", "kpi.etl.records.written",
    "kpi.etl.records.rejected", "kpi.etl.quality_score", "kpi.etl.batches.count", "kpi.etl.bytes.read",
    "kpi.etl.batches.work_time", "kpi.etl.batches.source_time", "kpi.etl.run.elapsed", "kpi.etl.run.attempt",
)  # fmt: skip
NUMBERS: Final[tuple[Value, ...]] = (
    float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, -1, 0, 1.5, 2**63 - 1, -(2**63), "1e999999", "-1e999999", "1e30",
    "sNaN", "Infinity", "1e-999999", "1" * 5_000, "x", "", True, None, [], {}, b"\xff", "\u0661\u0662", "1_0", "0x10",
)  # fmt: skip
"""Values where a number belongs; none of them may take a page away."""


def numbers(now_ns: int = START_NS) -> Iterator[Request[Any]]:
    """Calls of models, runs and stages, running and ended, each with one of `NUMBERS` wherever something is counted."""
    for index, value in enumerate(NUMBERS):
        made = Made(random.Random(index), random.Random(index + 1_000).randbytes(16))
        said = tuple(attribute(key, value) for key in _COUNTED)
        call = attributes({"gen_ai.operation.name": "chat", "gen_ai.request.model": f"model {index}"}) + said
        run = attributes({"kpi.etl.pipeline.name": "counted", "kpi.etl.run.id": f"run {index}"}) + said
        stage = (*run, *attributes({"kpi.etl.stage.name": "load", "kpi.etl.validation.errors": [f"a={value}", "b=\u0663", "c=\u00b2", "d=" + "9" * 400]}))  # fmt: skip
        root = made.span("numbers", "hostile", f"number {index}", SERVER, None, now_ns, SECOND)
        made.span("numbers", "hostile", "call", CLIENT, root, now_ns, SECOND).attributes = call
        parent = made.span("numbers", "hostile", "run", INTERNAL, root, now_ns, SECOND)
        parent.attributes = run
        made.span("numbers", "hostile", "stage", INTERNAL, parent, now_ns, SECOND).attributes = stage
        made.span("numbers", "hostile", "batch", INTERNAL, parent, now_ns, SECOND).attributes = (
            *stage,
            attribute("kpi.etl.batch.index", value),
        )
        yield _traces(made)
        beats = attributes({"kpi.etl.pipeline.name": "counted", "kpi.etl.run.id": f"running {index}"}) + said
        record = LogRecord(now_ns, now_ns, 9, "", attributes=beats, event_name="kpi.etl.run.heartbeat")
        yield together("logs", [(resource("numbers"), "hostile", record)])
        if isinstance(value, float):
            point = Point((), 0, now_ns, value=value)
            yield together(
                "metrics", [(resource("numbers"), "hostile", Metric(f"m{index}", "", "", "gauge", [point]))]
            )


def _traces(made: Made) -> Request[Any]:
    senders = {name: resource(name) for name, _, _ in made.spans}
    return together("traces", [(senders[name], scope, span) for name, scope, span in made.spans])


def cycle(seed: int = 0) -> Request[Any]:
    """Three spans that are each other's parents, one that is its own, and one below of it."""
    made = Made(random.Random(seed), random.Random(seed + 1).randbytes(16))
    round_of = [
        made.span("loops", "hostile", f"round {n}", INTERNAL, None, START_NS + n, SECOND) for n in range(3)
    ]
    for index, span in enumerate(round_of):
        span.parent_id = round_of[index - 1].span_id
    own = made.span("loops", "hostile", "its own parent", INTERNAL, None, START_NS, SECOND)
    own.parent_id = own.span_id
    made.span("loops", "hostile", "below", INTERNAL, own, START_NS, SECOND)
    return _traces(made)


def duplicates(seed: int = 0) -> Request[Any]:
    """The same span twice, and a third of the same id that says something else."""
    made = Made(random.Random(seed), random.Random(seed + 2).randbytes(16))
    first = made.span("twice", "hostile", "once", SERVER, None, START_NS, SECOND, {"times": 1})
    made.spans.append(made.spans[0])
    other = made.span(
        "twice", "hostile", "the same id, other words", SERVER, None, START_NS + 5, 2 * SECOND, {"times": 2}
    )
    other.span_id = first.span_id
    return _traces(made)


def orphans(seed: int = 0) -> Request[Any]:
    """Spans whose parents never came, and no root."""
    made = Made(random.Random(seed), random.Random(seed + 3).randbytes(16))
    for number in range(4):
        span = made.span(
            "lost", "hostile", f"orphan {number}", INTERNAL, None, START_NS + number * MILLISECOND, SECOND
        )
        span.parent_id = made.draw.randbytes(8)
    return _traces(made)


def skewed(seed: int = 0) -> Request[Any]:
    """A child that begins before its parent, one that ends before it begins, one of 1970, one of the next century."""
    made = Made(random.Random(seed), random.Random(seed + 4).randbytes(16))
    root = made.span("clock", "hostile", "root", SERVER, None, START_NS, SECOND)
    made.span("behind", "hostile", "an hour early", SERVER, root, START_NS - 3_600 * SECOND, SECOND)
    made.span("ahead", "hostile", "ends before it begins", INTERNAL, root, START_NS + SECOND, -5 * SECOND)
    made.span("behind", "hostile", "of 1970", INTERNAL, root, 0, SECOND)
    made.span("ahead", "hostile", "of the largest number", INTERNAL, root, 2**63 - 1, 0)
    made.span("ahead", "hostile", "beyond the largest number", INTERNAL, root, 2**64 - 2, 1)
    return _traces(made)


def large(size: int = 2**20, seed: int = 0) -> Request[Any]:
    """An attribute, an event and a status of a megabyte each."""
    made = Made(random.Random(seed), random.Random(seed + 5).randbytes(16))
    text = " ".join(f"word{made.draw.randrange(10**6)}" for _ in range(size // 10))[:size]
    span = made.span(
        "large", "hostile", "carries a megabyte", INTERNAL, None, START_NS, SECOND, {"body": text}
    )
    span.events.append(Event("large", START_NS, attributes({"body": text})))
    span.status, span.status_message = 2, text
    return _traces(made)


def long_trace(spans: int = 100_000, seed: int = 0, per_request: int = 5_000) -> Iterator[Request[Any]]:
    """One trace of so many spans: 200 levels deep at most, half of them alike."""
    made = Made(random.Random(seed), random.Random(seed + 6).randbytes(16))
    path: list[Span] = []
    for number in range(spans):
        del path[1 + made.draw.randrange(200) :]
        parent = path[-1] if path else None
        name = "SELECT product" if number % 2 else f"step {number % 97}"
        length = max(1, spans - number) * 10_000
        path.append(made.span(f"part{number % 7}", "hostile", name, INTERNAL, parent, START_NS + number * 10_000, length, {"number": number}))  # fmt: skip
        if len(made.spans) == per_request:
            yield _traces(made)
            made.spans.clear()
    if made.spans:
        yield _traces(made)


def bad_ids(seed: int = 0) -> Request[Any]:
    """Ids of zeros, too short and too long: what cannot be kept, beside one span that can."""
    made = Made(random.Random(seed), random.Random(seed + 7).randbytes(16))
    for trace_id, span_id in ((bytes(16), b"12345678"), (b"short", b"12345678"), (made.trace_id, bytes(8)), (made.trace_id, b"123456789"), (b"", b"")):  # fmt: skip
        span = made.span("ids", "hostile", "bad ids", INTERNAL, None, START_NS, SECOND)
        span.trace_id, span.span_id = trace_id, span_id
    made.span("ids", "hostile", "good ids", INTERNAL, None, START_NS, SECOND)
    return _traces(made)
