"""What our decoder makes of bytes is what protobuf's own makes of them; what is no message is refused with the place."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dev import samples
from unit.dev.wire import official

from otel_kpi.dev.telemetry import MalformedError, Signal
from otel_kpi.dev.wire import protobuf

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
each_signal = pytest.mark.parametrize("signal", SIGNALS)
often = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**64)


def same(signal: Signal, body: bytes) -> bool:
    """Assert that both decoders say the same; False where protobuf's refuses it."""
    theirs = official.understood(signal, body)
    if theirs is None:
        with suppress(MalformedError):
            protobuf.decode(signal, body)
        return False
    ours = protobuf.decode(signal, body)
    if signal == "logs":
        official.observed_alike(ours, theirs)
    assert repr(replace(ours, problem="")) == repr(theirs)
    assert bool(ours.rejected) == bool(ours.problem)
    return True


@each_signal
@often
@given(seed=seeds)
def test_any_message_means_what_protobuf_says(signal: Signal, seed: int) -> None:
    draw = Random(seed)
    assert same(signal, official.message(draw, official.REQUESTS[signal]).SerializeToString())


@each_signal
@often
@given(seed=seeds)
def test_in_any_order_in_parts_and_with_unknown_fields_it_means_the_same_to_both(
    signal: Signal, seed: int
) -> None:
    draw = Random(seed)
    made = official.message(draw, official.REQUESTS[signal])
    assert same(signal, official.rewritten(draw, made.SerializeToString(), made.DESCRIPTOR))


@each_signal
@often
@given(seed=seeds)
def test_a_damaged_body_is_refused_or_means_what_protobuf_says(signal: Signal, seed: int) -> None:
    draw = Random(seed)
    body = bytearray(official.message(draw, official.REQUESTS[signal]).SerializeToString())
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.randrange(len(body) + 1)
        damage = draw.randrange(4)
        if damage == 0:
            del body[at:]
        elif damage == 1:
            del body[at : at + draw.randrange(1, 9)]
        elif damage == 2:
            body[at:at] = draw.randbytes(draw.randrange(1, 9))
        elif body:
            body[at - 1] = draw.randrange(256)
    same(signal, bytes(body))


@each_signal
@often
@given(body=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_mean_what_protobuf_says(signal: Signal, body: bytes) -> None:
    same(signal, body)


def test_a_whole_day_is_read_as_it_was_made() -> None:
    for request in samples.requests(1_500):
        body = samples.encode(request)
        assert protobuf.decode(request.signal, body) == replace(request, size=len(body))
