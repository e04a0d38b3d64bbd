"""Numbers as a person reads them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from otel_kpi.dev.viewer import formats
from otel_kpi.dev.viewer.rendering import link, time


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(None, "–"), (0, "0 ns"), (870, "870 ns"), (12_400, "12.4 µs"), (999_499, "999 µs"), (999_500, "1.00 ms"), (412_000_000, "412 ms"),
     (1_240_000_000, "1.24 s"), (59_940_000_000, "59.9 s"), (59_960_000_000, "1 min"), (123_000_000_000, "2 min 3 s"),
     (18_720_000_000_000, "5 h 12 min"), (200_000_000_000_000, "2 d 7 h"), (-5_000_000, "-5.00 ms"), (float("inf"), "–"), (float("nan"), "–"), (1e300, "–")],
)  # fmt: skip
def test_durations(nanoseconds: float | None, text: str) -> None:
    assert formats.duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(None, "USD", "–"), (Decimal("0.0004217"), "USD", "$0.000422"), (Decimal("0.0001"), "USD", "$0.0001"), (Decimal(0), "USD", "$0.00"),
     (Decimal("1234.5"), "EUR", "€1,234.50"), (Decimal("-0.5"), "USD", "-$0.50"), (Decimal(3), "CHF", "3.00 CHF"), (Decimal("1E-9"), "USD", "$0.000000001"),
     (Decimal("1E27"), "USD", "$1,000,000,000,000,000,000,000,000,000.00")],
)  # fmt: skip
def test_money_below_a_cent_keeps_what_matters(amount: Decimal | None, currency: str, text: str) -> None:
    assert formats.money(amount, currency) == text


def test_unknown_is_a_dash_and_never_a_zero() -> None:
    assert {
        formats.count(None),
        formats.tokens(None),
        formats.percent(None),
        formats.bytes_(None),
        time(None),
    } == {"–"}
    assert (formats.tokens(12_345), formats.tokens(999_600), formats.tokens(812)) == ("12.3k", "1.00M", "812")
    assert (formats.percent(0.42), formats.percent(0.996), formats.percent(1.0)) == (
        "42 %",
        "99.6 %",
        "100 %",
    )


def test_a_share_that_is_neither_none_nor_all_is_not_said_to_be() -> None:
    assert [formats.percent(share) for share in (0.0, 0.000_04, 0.999_96, 0.9994)] == ["0 %", "<0.1 %", ">99.9 %", "99.9 %"]  # fmt: skip


def test_one_is_no_plural() -> None:
    assert [formats.several(number, "trace") for number in (0, 1, 2_000)] == ["0 traces", "1 trace", "2,000 traces"]  # fmt: skip
    assert formats.bytes_(999_900) == "1.00 MB"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        " https://x",
        "vbscript:x",
        "//evil",
        "\x01javascript:x",
    ],
)
def test_only_web_and_mail_are_links(url: str) -> None:
    assert "href" not in link(url)


def test_a_link_cannot_be_broken_out_of() -> None:
    assert link('https://x/"><script>') == (
        '<a href="https://x/&#34;&gt;&lt;script&gt;" rel="noreferrer noopener" target="_blank">https://x/&#34;&gt;&lt;script&gt;</a>'
    )


@pytest.mark.parametrize("nanoseconds", [1, 2**63 - 1, 2**64, 10**25, -5])
def test_no_clock_is_too_far_off(nanoseconds: int) -> None:
    assert str(time(nanoseconds)).startswith(("<time", "<span"))
