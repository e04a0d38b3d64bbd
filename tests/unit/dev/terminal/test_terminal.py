"""What `otel-kpi dev` prints of what comes, and at the end."""

from __future__ import annotations

import asyncio
import io
import json
import random
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from support.dev import day, hostile, samples
from support.dev.made import INTERNAL, MILLISECOND, SERVER, START_NS, Made, resource, together

from otel_kpi.dev import terminal
from otel_kpi.dev.intake import Intake
from otel_kpi.dev.state import Dev
from otel_kpi.dev.store import Store
from otel_kpi.dev.store.reading.traces import StoredTraces
from otel_kpi.dev.terminal.following import Printer
from otel_kpi.dev.terminal.gathering import LONGEST_WAIT, MOST_TRACES, REST, Gathered, Gathering
from otel_kpi.dev.terminal.lines import MOST_LINES, clean, plain, tree
from otel_kpi.dev.terminal.lines import money as total
from otel_kpi.dev.terminal.session import lines, session
from otel_kpi.dev.viewer.formats import money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_kpi.dev.telemetry import Request

ADDRESS = "http://127.0.0.1:4318"


class Screen(io.StringIO):
    """A terminal of 80 columns."""

    def isatty(self) -> bool:
        return True


def request(made: Made) -> Request[Any]:
    senders = {name: resource(name) for name, _, _ in made.spans}
    return together("traces", [(senders[name], scope, span) for name, scope, span in made.spans])


def made(what: Callable[[Made, int], None], seed: int = 0) -> Request[Any]:
    trace = Made(random.Random(seed), random.Random(seed).randbytes(16))
    what(trace, START_NS)
    return request(trace)


def gathered(*requests: Request[Any]) -> list[Gathered]:
    gathering = Gathering()
    gathering.take(requests, 0.0)
    return gathering.due(LONGEST_WAIT)


def loop_of_statements(trace: Made, start_ns: int) -> None:
    page = day.served(trace, "shop", "GET", "/products", None, start_ns, 80 * MILLISECOND)
    for number in range(12):
        day.queried(trace, "shop", f"SELECT * FROM product WHERE id = {number}", page, start_ns + number * MILLISECOND, MILLISECOND)  # fmt: skip


def shown(traces: list[Gathered], out: io.StringIO, *, as_json: bool = False) -> str:
    Printer(out, ADDRESS, as_json=as_json).show(traces, 0, 0, 0.0)
    return out.getvalue()


def test_trace_is_shown_once_it_has_come_to_rest_and_not_before() -> None:
    gathering = Gathering()
    gathering.take([made(day.checkout)], 10.0)
    assert gathering.due(10.0 + REST / 2) == []
    [trace] = gathering.due(10.0 + REST)
    assert trace.root is not None
    assert trace.count == 10
    assert not gathering


def test_what_comes_after_a_trace_was_shown_is_marked_as_more_of_it() -> None:
    gathering = Gathering()
    first, second = made(day.alive), made(day.alive)
    gathering.take([first], 0.0)
    assert [trace.more for trace in gathering.due(1.0)] == [False]
    gathering.take([second], 2.0)
    assert [trace.more for trace in gathering.due(3.0)] == [True]


def test_too_many_traces_at_once_are_bounded_and_counted() -> None:
    gathering = Gathering()
    for seed in range(MOST_TRACES + 7):
        gathering.take([made(day.alive, seed)], 0.0)
    assert gathering.passed == 7
    assert len(gathering.due(LONGEST_WAIT)) == MOST_TRACES


def test_headline_has_duration_status_cost_and_statements() -> None:
    asked = (gathered(made(day.ask, seed))[0] for seed in range(60))
    trace = next(trace for trace in asked if trace.cost and trace.statements)
    line = plain(trace)
    assert "POST /ask gateway" in line
    assert f"{trace.count} spans" in line
    assert f"{trace.statements} SQL" in line
    assert f"{trace.llm_calls} LLM" in line
    [(currency, amount)] = trace.cost.items()
    assert money(amount, currency) in line


def test_a_call_that_cost_little_is_not_said_to_cost_nothing() -> None:
    assert total({"USD": Decimal("0.000027"), "XAF": Decimal("0.00004")}) == "$0.000027 + 0.00004 XAF"


def test_amounts_of_two_currencies_are_never_added() -> None:
    trace = Gathered("00", 0.0, 0.0)
    for request_ in (made(day.ask, seed) for seed in range(200)):
        for group in request_.groups:
            for span in group.items:
                trace.take(group.resource.service, span)
    assert set(trace.cost) == {"USD", "EUR"}
    assert " + " in plain(trace)


def test_statement_in_a_loop_is_warned_of_with_how_often() -> None:
    [trace] = gathered(made(loop_of_statements))
    assert [(repeat.times, repeat.statement) for repeat in trace.repeats] == [
        (12, "SELECT * FROM product WHERE id = ?")
    ]
    assert "N+1: 12× SELECT * FROM product WHERE id = ?" in plain(trace)
    assert "×12 Σ" in shown([trace], Screen())


def test_tree_on_a_terminal_and_plain_lines_elsewhere() -> None:
    traces = gathered(made(day.checkout))
    drawn, line = shown(traces, Screen()), shown(traces, io.StringIO())
    assert "└─" in drawn
    assert "\x1b[" in drawn
    assert line.count("\n") == 1
    assert "\x1b" not in line


def test_error_is_told_by_a_word_and_by_its_message() -> None:
    seed = next(seed for seed in range(200) if gathered(made(day.checkout, seed))[0].errors)
    [trace] = gathered(made(day.checkout, seed))
    assert f"{trace.errors} errors" in plain(trace)
    assert "CardDeclined" in shown([trace], Screen())


def test_tree_says_how_many_spans_it_leaves_out() -> None:
    [trace] = gathered(*hostile.long_trace(3_000))
    drawn = tree(trace)
    assert len(drawn) <= MOST_LINES + 2
    assert trace.count == 3_000
    assert "more spans" in drawn[-1][1][0]
    assert len(trace.spans) <= 401


@pytest.mark.parametrize("sample", [hostile.cycle, hostile.duplicates, hostile.orphans, hostile.skewed])
def test_spans_that_make_no_tree_are_shown_all_the_same(sample: Callable[[], Request[Any]]) -> None:
    [trace] = gathered(sample())
    assert shown([trace], Screen())
    assert json.loads(shown([trace], io.StringIO(), as_json=True))["spans"] == trace.count


def test_nothing_that_is_received_moves_the_cursor_or_turns_a_colour() -> None:
    text = "\x1b[2J\x1b]0;title\x07 \x9b31m \r\n\u202e"
    traces = gathered(hostile.in_every_field(text)[0])
    for out in (io.StringIO(), io.StringIO()):
        line = shown(traces, out)
        assert all(sign.isprintable() for sign in line.strip("\n"))
    drawn = shown(traces, Screen())
    assert "\x1b[2J" not in drawn
    assert "\x07" not in drawn
    assert "\x9b" not in drawn
    assert clean(text).isprintable()


def test_line_of_json_has_what_a_program_needs() -> None:
    [trace] = gathered(made(loop_of_statements))
    said = json.loads(shown([trace], io.StringIO(), as_json=True))
    assert said["name"] == "GET /products"
    assert said["statements"] == 12
    assert said["repeats"] == [{"statement": "SELECT * FROM product WHERE id = ?", "times": 12}]
    assert said["url"] == f"{ADDRESS}/traces/{trace.trace_id}"


def test_person_is_shown_twenty_traces_a_second_and_told_of_the_rest() -> None:
    traces = [trace for seed in range(50) for trace in gathered(made(day.alive, seed))]
    out = io.StringIO()
    printer = Printer(out, ADDRESS)
    printer.show(traces, 3, 2, 100.0)
    printer.rest()
    assert out.getvalue().count("GET /healthz") == 20
    assert "… 33 more traces and more than could be followed" in out.getvalue()


@pytest.fixture
def store() -> Iterator[Store]:
    kept = Store(None)
    yield kept
    kept.close()


def test_what_is_committed_is_printed_within_a_second(store: Store) -> None:
    async def session_of_one() -> str:
        intake = Intake(store)
        out = io.StringIO()
        dev = Dev(StoredTraces(store), store, intake, ADDRESS)
        following = asyncio.create_task(terminal.follow(dev, out=out))
        await asyncio.sleep(0)  # it begins to listen
        await intake.submit(made(day.checkout))
        try:
            async with asyncio.timeout(3.0):
                while "POST /checkout" not in out.getvalue():  # noqa: ASYNC110 - what is printed tells nobody
                    await asyncio.sleep(0.02)
        finally:
            following.cancel()
            await asyncio.wait([following])
            await asyncio.to_thread(intake.close)
        return out.getvalue()

    assert asyncio.run(session_of_one()).count("\n") == 1


def test_summary_counts_what_came_since_the_mark(store: Store) -> None:
    dev = Dev(StoredTraces(store), store, None, ADDRESS)
    store.write(list(samples.requests(300, seed=1)))
    since = terminal.mark(dev)
    later = list(samples.requests(1_500, seed=3))
    store.write(later)

    spans = [
        span for each in later if each.signal == "traces" for group in each.groups for span in group.items
    ]
    expected: dict[str, Decimal] = {}
    for span in spans:
        values = {attribute.key: attribute.value for attribute in span.attributes}
        if "gen_ai.usage.cost.amount" in values:
            currency = str(values["gen_ai.usage.cost.currency"])
            expected[currency] = expected.get(currency, Decimal(0)) + Decimal(
                str(values["gen_ai.usage.cost.amount"])
            )

    found = session(store.reader(), since)
    assert found.spans == 1_500
    assert found.traces == len({span.trace_id for span in spans})
    assert found.errors == sum(span.status == 2 for span in spans)
    assert found.requests == sum(
        span.kind == SERVER and any(a.key == "http.route" for a in span.attributes) for span in spans
    )
    assert found.cost == expected
    assert sum(runs.runs for runs in found.pipelines) == sum(span.name.startswith("run ") for span in spans)
    assert set(found.services) == set(samples.SERVICES)


def test_summary_is_for_a_person_or_for_a_program(store: Store) -> None:
    dev = Dev(StoredTraces(store), store, None, ADDRESS)
    store.write(list(samples.requests(1_500, seed=3)))
    person, program = io.StringIO(), io.StringIO()
    terminal.summary(dev, terminal.Mark(), out=person)
    terminal.summary(dev, terminal.Mark(), out=program, as_json=True)
    for word in ("requests", "slowest", "errors", "spend", "$", "pipelines"):
        assert word in person.getvalue()
    said = json.loads(program.getvalue())["summary"]
    assert Decimal(said["cost"]["USD"]) > 0


def test_summary_of_nothing_says_how_to_begin(store: Store) -> None:
    out = io.StringIO()
    terminal.summary(Dev(StoredTraces(store), store, None, ADDRESS), terminal.Mark(), out=out)
    assert "otel-kpi dev -- <command>" in out.getvalue()


def test_summary_of_nothing_does_not_tell_to_start_what_was_started(store: Store) -> None:
    out = io.StringIO()
    terminal.summary(Dev(StoredTraces(store), store, None, ADDRESS), terminal.Mark(), out=out, started=True)
    assert out.getvalue() == "Nothing was received: the command recorded nothing.\n"


def test_summary_of_metrics_alone_does_not_say_that_nothing_came(store: Store) -> None:
    since = terminal.mark(Dev(StoredTraces(store), store, None, ADDRESS))
    store.write([each for each in samples.requests(100) if each.signal == "metrics"])
    (said,) = lines(session(store.reader(), since), ADDRESS)
    assert re.fullmatch(r"0 traces, 0 spans, 0 log records, [\d,]+ metric points", said)


def test_summary_says_what_was_not_kept(store: Store) -> None:
    store.tally.add("traces", "malformed", 1, last="cut", now=START_NS / 10**9)
    store.write([])
    since = terminal.mark(Dev(StoredTraces(store), store, None, ADDRESS))
    store.tally.add("logs", "refused", 1_200, last="too much", now=START_NS / 10**9)
    store.write([])
    said = list(lines(session(store.reader(), since), ADDRESS))
    assert said == [f"not kept   1,200, and why: {ADDRESS}/telemetry"]


def test_summary_does_not_mention_what_did_not_happen(store: Store) -> None:
    trace = Made(random.Random(0), bytes(range(16)))
    trace.span("job", "s", "work", INTERNAL, None, START_NS, MILLISECOND)
    store.write([request(trace)])
    said = "\n".join(lines(session(store.reader(), terminal.Mark()), ADDRESS))
    assert "requests" not in said
    assert "spend" not in said
    assert "errors" not in said
    assert "pipelines" not in said


def test_summary_survives_whatever_was_sent(store: Store) -> None:
    for sample in hostile.everywhere():
        store.write([sample])
    said = "\n".join(lines(session(store.reader(), terminal.Mark()), ADDRESS))
    assert all(sign.isprintable() for sign in said.replace("\n", ""))


def test_what_came_last_is_printed_when_the_session_ends_at_once(store: Store) -> None:
    async def session_of_one() -> str:
        intake = Intake(store)
        out = io.StringIO()
        following = asyncio.create_task(
            terminal.follow(Dev(StoredTraces(store), store, intake, ADDRESS), out=out)
        )
        await asyncio.sleep(0)  # it begins to listen
        await intake.submit(made(day.checkout))
        await asyncio.to_thread(intake.close)
        following.cancel()
        await asyncio.wait([following])
        return out.getvalue()

    assert "POST /checkout" in asyncio.run(session_of_one())
