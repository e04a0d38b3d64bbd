"""What a person types into the search."""

from __future__ import annotations

import pytest

from otel_kpi.dev.viewer import asking
from otel_kpi.dev.views import TraceQuery


def test_attributes_are_taken_out_of_words() -> None:
    assert asking.words_and_attributes(
        'slow http.route=/a/b db.query.text="SELECT 1 = 1" "card declined"'
    ) == (
        "slow card declined",
        (("http.route", "/a/b"), ("db.query.text", "SELECT 1 = 1")),
    )


@pytest.mark.parametrize("text", ["=", "==", '"', '"a=b', "a=", "=b", "'", "\x00", "<b>=1", "a" * 10_000])
def test_no_text_is_too_odd(text: str) -> None:
    words, attributes = asking.words_and_attributes(text)
    assert isinstance(words, str)
    assert all(key for key, _ in attributes)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("250ms", 250_000_000), ("1.5 s", 1_500_000_000), ("2", 2_000_000), ("3min", 180_000_000_000), ("10µs", 10_000),
     ("", None), ("soon", None), ("-1s", None), ("9" * 40 + "h", None), ("1e9", None)],
)  # fmt: skip
def test_durations_are_read_as_people_write_them(text: str, nanoseconds: int | None) -> None:
    assert asking.milliseconds(text) == nanoseconds


def test_an_address_is_a_question_and_what_is_no_question_is_said() -> None:
    asked = asking.asked(
        {"service": "shop", "status": "broken", "min": "1s", "max": "later", "before": "-3", "q": "a=b"}
    )
    assert asked.query == TraceQuery(
        service="shop", min_duration_ns=10**9, attributes=(("a", "b"),), limit=50
    )
    assert asked.not_understood == ["status=broken", "max=later", "before=-3"]
    assert asked.narrowed
    assert not asking.asked({"before": "12"}).narrowed


def test_a_pasted_trace_id_is_known() -> None:
    assert asking.trace_id(" 0AF7651916CD43DD8448EB211C80319C ") == "0af7651916cd43dd8448eb211c80319c"
    assert asking.trace_id("0af7651916cd43dd") is None
