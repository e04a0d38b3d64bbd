"""Sums of calls: money is decimal and kept apart by currency, unknown is not free, no data is not zero."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from support.dev.asked import call, filled, span, spans
from support.dev.made import START_NS

from otel_kpi.dev.store.reading import calls, llm
from otel_kpi.dev.store.reading.llm import NO_AMOUNT, Chosen, Spending, quantile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from otel_kpi.dev.telemetry import Span

SECOND = 1_000_000_000
EVER = Chosen(0, 2**63 - 1)


def spent(folder: Path, *sent: Span, chosen: Chosen = EVER) -> Spending:
    with filled(folder / "dev.db", [spans(*sent)]) as store:
        return llm.spending(store.reader(), chosen, SECOND)


def test_amounts_are_added_to_the_last_decimal(tmp_path: Path) -> None:
    found = spent(tmp_path, *[call(cost=0.1) for _ in range(3)], call(cost=0.000000001))
    assert found.total.cost == {"USD": Decimal("0.300000001")}


def test_currencies_are_never_added_together(tmp_path: Path) -> None:
    found = spent(
        tmp_path, call(cost=1.5), call(cost=2.0, currency="EUR"), call("claude", cost=3.0, currency="EUR")
    )
    assert found.total.cost == {"USD": Decimal("1.5"), "EUR": Decimal(5)}
    assert {each.name: each.counts.cost for each in found.by["model"]} == {
        "claude": {"EUR": Decimal(3)},
        "gpt-4o": {"USD": Decimal("1.5"), "EUR": Decimal(2)},
    }
    assert [[each.cost for each in calls] for calls in found.dearest.values()] == [[3, 2], [Decimal("1.5")]]


def test_a_call_without_an_amount_is_not_free(tmp_path: Path) -> None:
    found = spent(
        tmp_path,
        call("house", cost=None, kpi__llm__unpriced__reason="unknown_model"),
        call("house", cost=None, kpi__llm__unpriced__reason="unknown_model"),
        call("foreign", cost=None),
        call("broken", cost=None, status=2),
        call("free", cost=0.0),
    )
    assert found.total.cost == {"USD": Decimal(0)}
    assert found.unpriced == [("house", "openai", "unknown_model", 2), ("foreign", "openai", NO_AMOUNT, 1)]
    assert found.total.errors == 1


def test_calls_that_tell_no_tokens_are_told_apart_from_none(tmp_path: Path) -> None:
    found = spent(tmp_path, call(gen_ai__usage__input_tokens=None, gen_ai__usage__output_tokens=None), call())
    assert (found.total.untold, found.total.tokens) == (1, 110)


def test_who_names_no_feature_is_found_under_a_dash(tmp_path: Path) -> None:
    sent = [
        call(kpi__feature="summary", kpi__tenant="acme"),
        call(kpi__tenant="acme"),
        call(kpi__tenant="-no-"),
    ]
    with filled(tmp_path / "dev.db", [spans(*sent)]) as store:
        reader = store.reader()
        found = llm.spending(reader, EVER, SECOND)
        assert [(each.name, each.counts.calls) for each in found.by["feature"]] == [("-", 2), ("summary", 1)]
        for only, calls in (
            ({"feature": "-"}, 2), ({"feature": "summary"}, 1), ({"tenant": "acme", "feature": "-"}, 1),
            ({"tenant": "' OR 1=1 --"}, 0), ({"tenant": "nobody"}, 0), ({"model": "gpt-4o", "provider": "openai"}, 3),
        ):  # fmt: skip
            assert llm.spending(reader, Chosen(0, 2**63 - 1, only), SECOND).total.calls == calls  # type: ignore[arg-type] - dimensions


def test_a_time_has_its_begin_and_not_its_end(tmp_path: Path) -> None:
    sent = [call(start_ns=START_NS + at * SECOND) for at in range(4)]
    found = spent(tmp_path, *sent, chosen=Chosen(START_NS + SECOND, START_NS + 3 * SECOND))
    assert sorted(found.over_time) == [START_NS + SECOND, START_NS + 2 * SECOND]


def test_failed_ones_can_be_had_alone(tmp_path: Path) -> None:
    found = spent(tmp_path, call(), call(status=2), chosen=Chosen(0, 2**63 - 1, failed=True))
    assert (found.total.calls, found.total.errors_share) == (1, 1.0)


def test_quantiles_are_values_that_there_were(tmp_path: Path) -> None:
    found = spent(
        tmp_path,
        *[call(duration_ns=ms * 1_000_000) for ms in range(1, 101)],
        call(duration_ns=1, gen_ai__response__time_to_first_chunk=0.25),
    )
    assert found.total.duration(0.5) == 50_000_000
    assert found.total.duration(0.95) == 95_000_000
    assert found.total.first_chunk(0.5) == 250_000_000
    assert [each.duration_ns for each in found.slowest[:2]] == [100_000_000, 99_000_000]
    assert quantile([], 0.5) is None


@pytest.mark.parametrize(
    ("text", "value"), [(None, None), ("x", None), ("NaN", None), ("1e2", 100), ("0.10", Decimal("0.1"))]
)
def test_an_amount_is_a_number_or_unknown(text: str | None, value: Decimal | None) -> None:
    assert calls.amount(text) == value


def test_whatever_an_amount_looks_like_the_sum_is_what_one_gets_on_paper(tmp_path: Path) -> None:
    amounts = [0.0000375] * 400 + [0.1 + 0.2, 12.5, 0.999999999999, 1e-13, 0.0, 1e29, 7.0]
    found = spent(tmp_path, *[call(cost=each) for each in amounts])
    assert found.total.cost == {"USD": Decimal("100000000000000000000000000020.81499999999910004")}
    assert [each.cost for each in found.dearest["USD"][:3]] == [Decimal("1e29"), Decimal("12.5"), 7]


def test_all_calls_are_counted_however_many(tmp_path: Path) -> None:
    sent = [
        call(f"model {at % 7}", start_ns=START_NS + at * 1_000, duration_ns=at + 1) for at in range(2_000)
    ]
    found = spent(tmp_path, *sent)
    assert found.total.calls == sum(each.counts.calls for each in found.by["model"]) == 2_000
    assert found.total.cost == {"USD": Decimal(1_000)}
    assert (found.total.duration(0.5), found.total.duration(0.95)) == (1_000, 1_900)


def test_absurd_counts_of_tokens_still_have_a_sum(tmp_path: Path) -> None:
    found = spent(tmp_path, *[call(gen_ai__usage__input_tokens=2**62) for _ in range(4)])
    assert found.total.input_tokens >= 4 * 10**12


def test_the_parts_are_the_whole_whatever_they_are_counted_by(tmp_path: Path) -> None:
    sent = [
        call(
            ("a", "b", None)[at % 3], cost=None if at % 5 == 0 else at / 1_000, currency=("USD", "EUR")[at % 2],
            start_ns=START_NS + at * SECOND // 3, status=2 if at % 11 == 0 else 0, duration_ns=1 + at,
            kpi__tenant=None if at % 4 else "acme",
        )
        for at in range(200)
    ]  # fmt: skip
    found = spent(tmp_path, *sent)
    steps = list(found.over_time.values())
    for parts in (steps, *([each.counts for each in by] for by in found.by.values())):
        counted = llm.Counts(unpriced=dict(found.total.unpriced) if parts is steps else {})
        for part in parts:
            counted.add(part)
        for share in (0.05, 0.5, 0.95):
            assert counted.duration(share) == found.total.duration(share)
        assert counted == found.total


def test_a_call_leads_to_its_span(tmp_path: Path) -> None:
    sent = call(kpi__tenant="acme", kpi__feature="summary", gen_ai__usage__cache_read__input_tokens=40)
    (found,) = spent(tmp_path, span({"no": "call"}), sent).slowest
    assert (found.trace_id, found.span_id) == (sent.trace_id.hex(), sent.span_id.hex())
    assert (found.operation, found.model, found.tenant, found.feature) == (
        "chat",
        "gpt-4o",
        "acme",
        "summary",
    )
    assert (found.input_tokens, found.output_tokens, found.cached_tokens) == (100, 10, 40)
    assert found.cost == Decimal("0.5")


def test_nothing_has_no_extent_and_no_sums(tmp_path: Path) -> None:
    with filled(tmp_path / "dev.db") as store:
        assert llm.extent(store.reader()) is None
        found = llm.spending(store.reader(), EVER, SECOND)
    assert (found.total.calls, found.total.cost, found.over_time, found.total.duration(0.5)) == (
        0,
        {},
        {},
        None,
    )


def _spent(reader: sqlite3.Connection) -> int:
    return llm.spending(reader, EVER, SECOND).total.calls


def _shared(reader: sqlite3.Connection) -> int:
    return sum(each.counts.calls for each in llm.shares(reader, EVER, "model"))


@pytest.mark.parametrize("asked", [_spent, _shared])
def test_a_call_that_comes_between_two_questions_is_in_none_of_the_answers(
    tmp_path: Path, asked: Callable[[sqlite3.Connection], int]
) -> None:
    with filled(tmp_path / "dev.db", [spans(call("known", cost=None))]) as store:
        reader = store.reader()
        comes = [spans(call("new", cost=None))]

        def when(statement: str) -> None:
            if "cost IS NULL" in statement and comes:
                store.write([comes.pop()])

        reader.set_trace_callback(when)
        assert asked(reader) == 1
        assert not comes
