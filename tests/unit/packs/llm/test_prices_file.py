"""What a user says of prices in a file, and what is said of a file that cannot be used."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from otel_kpi.packs.llm import prices
from otel_kpi.packs.llm.calls import Call, ended
from otel_kpi.packs.llm.prices import Price, Unpriced
from otel_kpi.packs.llm.usage import Usage

if TYPE_CHECKING:
    from pathlib import Path

    from support.measured import Measured

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
USAGE = Usage({"input_tokens": 1_200, "cache_read_tokens": 1_000, "output_tokens": 300})
VLLM = "http://gpu-7.internal:8000/v1"


class Written:
    """A price file, and calls that are priced by it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def use(self, text: str | dict[str, Any], **more: Any) -> None:
        if isinstance(text, dict):
            self.path = self.path.with_suffix(".json")
            text = json.dumps(text)
        self.path.write_text(text, encoding="utf-8")
        given: dict[str, Any] = {"currency": None, "rates": (), **more}
        prices.use(file=str(self.path), **given)
        prices.current().book()

    def price(self, model: str | None = "llama-4", **more: Any) -> Price | Unpriced:
        call: dict[str, Any] = {
            "provider": None,
            "endpoint": VLLM,
            "model": model,
            "usage": USAGE,
            "at": NOW,
            **more,
        }
        return prices.price(**call)

    def amount(self, model: str | None = "llama-4", **more: Any) -> Decimal:
        answer = self.price(model, **more)
        assert isinstance(answer, Price), answer
        return answer.amount


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "prices.yaml")


def test_tokens_of_a_server_of_ones_own(written: Written) -> None:
    written.use("""
currency: EUR
prices:
  - endpoint: http://gpu-7.internal:8000
    rates: {input_mtok: 0.20, cache_read_mtok: 0.05, output_mtok: 0.80}
""")
    answer = written.price()
    assert isinstance(answer, Price)
    assert answer.amount == Decimal("0.00033")  # 200×0.2 + 1000×0.05 + 300×0.8 a million
    assert (answer.currency, answer.model, answer.provider) == ("EUR", "llama-4", None)
    assert answer.version.startswith("prices.yaml 20")
    assert isinstance(written.price(endpoint="http://gpu-8.internal:8000"), Unpriced)


def test_seconds_and_calls(written: Written) -> None:
    written.use("""
prices:
  - model: [my-whisper, "my-tts-*"]
    currency: EUR
    rates: {second: 0.0007, call: 0.001}
""")
    assert written.amount("my-tts-2", seconds=2.5, usage=Usage()) == Decimal("0.00275")
    assert written.amount("my-tts-2", seconds=2.5, usage=Usage(fault="negative")) == Decimal("0.00275")
    assert isinstance(written.price("my-tts-2", seconds=None), Unpriced)
    answer = written.price("my-whisper", seconds=1)
    assert isinstance(answer, Price)
    assert [line.unit for line in answer.lines] == ["calls", "seconds"]
    assert answer.missing == ()


def test_a_price_from_a_day_on_and_until_another(written: Written) -> None:
    written.use("""
currency: EUR
prices:
  - {endpoint: "gpu-7.internal:8000", from: 2026-01-01, rates: {call: 1}}
  - {endpoint: "gpu-7.internal:8000", from: 2026-11-21, rates: {call: 2}}
  - {endpoint: "gpu-7.internal:8000", from: 2026-12-01, until: 2027-01-01, rates: {call: 3}}
""")

    def on(day: str) -> Decimal:
        return written.amount(at=datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())

    days = ("2026-11-20T23:59", "2026-11-21", "2026-12-31T23:59", "2027-01-01")
    assert [on(day) for day in days] == [1, 2, 3, 2]
    assert isinstance(written.price(at=0.0), Unpriced)


def test_the_price_of_long_prompts(written: Written) -> None:
    written.use("""
prices:
  - model: long
    currency: USD
    rates: {input_mtok: {base: 3, above: {1000: 6, 2000: 9}}}
""")
    amounts = [
        written.amount("long", usage=Usage({"input_tokens": count})) for count in (1000, 1001, 2000, 2001)
    ]
    assert amounts == [Decimal(text) for text in ("0.003", "0.006006", "0.012", "0.018009")]


def test_what_was_negotiated_multiplies_the_table_in_every_tier(written: Written) -> None:
    written.use("""
prices:
  - {provider: openai, model: "gpt-5*", multiply: 0.85}
""")
    openai = {"endpoint": "https://api.openai.com/v1"}
    assert written.amount("gpt-5", **openai) == Decimal("0.003375") * Decimal("0.85")
    assert written.amount("gpt-5", **openai, tier="flex") == Decimal("0.0016875") * Decimal("0.85")
    assert written.amount("gpt-4o", **openai) == Decimal("0.00475")
    # A server of one's own is not OpenAI, whatever its SDK calls it.
    assert isinstance(written.price("gpt-5", provider="openai"), Unpriced)


def test_a_single_rate_takes_the_place_of_the_tables(written: Written) -> None:
    written.use("""
prices:
  - {provider: azure.ai.openai, model: gpt-4o, override: {input_mtok: 2, cache_read_mtok: 1}, source: contract 7}
""")
    azure = {"endpoint": "https://acme.openai.azure.com"}
    answer = written.price("gpt-4o", **azure)
    assert isinstance(answer, Price)
    assert answer.amount == Decimal("0.0044")  # 200×2 + 1000×1 + 300×10
    assert "× prices.yaml" in answer.version
    assert isinstance(written.price("gpt-4o", **azure, tier="flex"), Unpriced)


def test_a_gateway_and_a_deployment_cost_what_stands_behind_them(written: Written) -> None:
    written.use("""
prices:
  - {endpoint: https://llm.corp.example, as: openai}
  - {endpoint: https://acme.openai.azure.com, model: chat-prod, as: {model: gpt-4o}}
  - {model: "ft:gpt-4.1:*", as: {provider: openai, model: gpt-4.1}, multiply: 1.5}
""")
    assert written.amount("gpt-4o", endpoint="https://llm.corp.example/openai/v1") == Decimal("0.00475")
    assert written.amount("chat-prod", endpoint="https://acme.openai.azure.com/x") == Decimal("0.00475")
    tuned = written.amount("ft:gpt-4.1:acme::1", endpoint="https://api.openai.com")
    assert tuned == Decimal("0.0033") * Decimal("1.5")
    assert isinstance(written.price("gpt-4o", endpoint="https://llm.corp.example.evil"), Unpriced)


def test_a_tier_of_ones_own(written: Written) -> None:
    written.use("""
currency: USD
prices:
  - {provider: openai, model: gpt-4o, tier: scale, rates: {call: 0}}
  - {endpoint: "*", model: llama-4, processing: batch, rates: {call: 5}}
  - {endpoint: "*", model: llama-4, rates: {call: 7}}
""")
    openai = {"endpoint": "https://api.openai.com"}
    assert written.amount("gpt-4o", **openai, tier="scale") == 0
    assert written.amount("gpt-4o", **openai) == Decimal("0.00475")
    assert (written.amount(), written.amount(processing="batch")) == (7, 5)
    assert isinstance(written.price(tier="flex"), Unpriced)


def test_the_first_rule_of_the_file_wins(written: Written) -> None:
    written.use("""
currency: EUR
prices:
  - {model: "llama-4", rates: {call: 1}}
  - {model: "llama-*", rates: {call: 2}}
""")
    assert (written.amount("llama-4"), written.amount("llama-3")) == (1, 2)


def test_json_says_the_same_and_keeps_its_digits(written: Written) -> None:
    written.use(
        {
            "currency": "CHF",
            "prices": [{"model": "llama-4", "rates": {"input_mtok": "0.1", "output_mtok": 0.3}}],
        }
    )
    assert written.amount() == Decimal("0.00021")


GOOD = "{model: llama-4, currency: EUR, rates: {call: 1}}"


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (
            "{model: m, rates: {input_mtok: '0,2'}}",
            "rates.input_mtok: '0,2' is no number; write it with a point",
        ),
        ("{model: m, rates: {input_mtok: -1}}", "rates.input_mtok: -1 is not between 0 and"),
        ("{model: m, rates: {input_mtok: .nan}}", "rates.input_mtok: nan is not between 0 and"),
        ("{model: m, rates: {input_mtok: true}}", "rates.input_mtok: True is no number"),
        ("{model: m, rates: {inputmtok: 1}}", "rates: there is no 'inputmtok'; did you mean input_mtok?"),
        ("{modell: m, rates: {call: 1}}", "there is no 'modell'; did you mean model?"),
        ("{rates: {call: 1}}", "says of nothing which calls it is for"),
        ("{model: m}", "says no price: give rates, or multiply, override or as"),
        ("{model: m, rates: {call: 1}, multiply: 2}", "rates stand alone"),
        ("{model: m, rates: {call: 1}, currency: Euro}", "'Euro' is no currency"),
        ("{model: m, rates: {cache_read_mtok: 1}}", "cache_read_mtok needs input_mtok beside it"),
        (
            "{model: m, rates: {input_mtok: 1, cache_read_mtok: 1, input_audio_mtok: 1}}",
            "cache_audio_read_mtok says what those cost",
        ),
        ("{model: m, rates: {call: 1}, from: yesterday}", "from: 'yesterday' is no day; write 2026-11-01"),
        (
            "{model: m, rates: {call: 1}, from: 2026-02-02, until: 2026-02-02}",
            "until: 2026-02-02 is not after",
        ),
        ("{model: m, as: opena}", "as: the table has no provider 'opena'; did you mean openai?"),
        ("{model: 7, rates: {call: 1}}", "model: 7 is no text; write a text, or a list of texts"),
        ("{model: m, multiply: 2, currency: EUR}", "the table's rates are in USD"),
        ("{model: m, override: {second: 1}}", "override: has no second and no call"),
        ("{model: m, rates: {input_mtok: {above: {1: 2}}}}", "rates.input_mtok: says no base"),
        (
            "{model: m, rates: {input_mtok: {base: 1, above: {x: 2}}}}",
            "'x' is no whole number of input tokens",
        ),
        ("just text", "the entry: is no mapping of names to values"),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_the_rest_keeps_working(
    written: Written, caplog: pytest.LogCaptureFixture, entry: str, line: str
) -> None:
    with caplog.at_level(logging.WARNING, "otel_kpi"):
        written.use(f"currency: EUR\nprices:\n  - {entry}\n  - {GOOD}\n")
        assert written.amount() == 1
    [said] = caplog.messages
    assert said.startswith("prices.yaml: prices[0]: ")
    assert line in said
    assert said.endswith("; this entry is not used")


def bomb(first: str, further: str) -> str:
    """A text of a thousand characters that stands for a hundred million values."""
    anchors = [f"a0: &a0 {first}"]
    anchors += [f"a{n}: &a{n} " + further.format(", ".join([f"*a{n - 1}"] * 10)) for n in range(1, 9)]
    return "\n".join([*anchors, "currency: *a8", "prices: []"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("prices: [", "is no YAML: while parsing"),
        ("- 1", "the file: is no mapping"),
        ("price: []", "there is no 'price'; did you mean prices?"),
        ("prices: 3", "prices: is no list"),
        ("prices:\n  - {model: m, rates: {call: 1}}", "says no currency; write for example currency: EUR"),
        ("currency: 7\nprices: []", "7 is no text"),
        ("prices: !!python/object/apply:os.system ['true']", "is no YAML"),
        ("x" * 1_000_001, "has more than 1000000 bytes"),
        pytest.param("prices: " + "[" * 100_000, "is nested in more than 50 levels", id="deep"),
        pytest.param(bomb("[x]", "[{}]"), "stand for more than 200000 values", id="lists"),
        pytest.param(bomb("{k: 1}", "{{<<: [{}]}}"), "stand for more than 200000 values", id="merged"),
    ],
)
def test_a_file_that_is_none_leaves_the_table(
    written: Written, caplog: pytest.LogCaptureFixture, text: str, line: str
) -> None:
    with caplog.at_level(logging.WARNING, "otel_kpi"):
        written.use(text)
    [said] = caplog.messages
    assert line in said
    assert written.amount("gpt-4o", endpoint="https://api.openai.com") == Decimal("0.00475")


def test_a_file_that_is_missing_or_no_text_or_empty(
    written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    openai = {"endpoint": "https://api.openai.com"}
    for path in (written.path.with_name("none.yaml"), written.path.parent, written.path):
        written.path.write_bytes(b"\xff\xfe\x00")
        caplog.clear()
        prices.use(file=str(path))
        prices.current().book()
        assert len(caplog.messages) == 1
        assert "cannot be read" in caplog.messages[0]
        assert written.amount("gpt-4o", **openai) == Decimal("0.00475")
    caplog.clear()
    written.use("")
    assert caplog.messages == []
    assert written.amount("gpt-4o", **openai) == Decimal("0.00475")


def test_json_that_nests_too_deep_and_a_device_leave_the_table(
    written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    deep = written.path.with_suffix(".json")
    deep.write_text("[" * 100_000, encoding="utf-8")
    for path in (str(deep), "/dev/zero"):
        caplog.clear()
        prices.use(file=path)
        prices.current().book()
        assert len(caplog.messages) == 1
        assert path in caplog.messages[0]
        assert written.amount("gpt-4o", endpoint="https://api.openai.com") == Decimal("0.00475")


def test_an_amount_is_converted_with_the_rate_of_its_day_and_that_is_kept(written: Written) -> None:
    written.use(
        "", currency="EUR", rates=("USD:EUR=0.9@2026-01-01", "USD:EUR=0.92@2026-11-01", "EUR:USD=1.1")
    )
    openai = {"endpoint": "https://api.openai.com"}
    now = written.price("gpt-4o", **openai)
    assert isinstance(now, Price)
    assert (now.amount, now.currency) == (Decimal("0.00475") * Decimal("0.92"), "EUR")
    assert (now.native_amount, now.native_currency) == (Decimal("0.00475"), "USD")
    assert str(now.exchange) == "1 USD = 0.92 EUR since 2026-11-01"
    assert sum(line.amount for line in now.lines) == now.native_amount
    spring = datetime(2026, 4, 1, tzinfo=UTC).timestamp()
    assert written.amount("gpt-4o", **openai, at=spring) == Decimal("0.00475") * Decimal("0.9")
    before = written.price("gpt-4o", **openai, at=0.0)
    assert isinstance(before, Price)
    assert (before.currency, before.exchange) == ("USD", None)


def test_nothing_is_converted_without_a_rate(written: Written, caplog: pytest.LogCaptureFixture) -> None:
    written.use(f"prices: [{GOOD}]", currency="CHF", rates=("USD:CHF=0.8", "USD:XXX", "USD:CHF=0"))
    assert [message.partition(":")[0] for message in caplog.messages] == ["OTEL_KPI_CURRENCY_RATES"] * 2
    answer = written.price()
    assert isinstance(answer, Price)
    assert (answer.amount, answer.currency, answer.exchange) == (1, "EUR", None)


def test_settings_are_read_of_the_environment(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    written.path = written.path.with_suffix(".json")
    written.path.write_text(json.dumps({"prices": [{"model": "m", "currency": "USD", "rates": {"call": 2}}]}))
    monkeypatch.setenv("OTEL_KPI_PRICES_FILE", str(written.path))
    monkeypatch.setenv("OTEL_KPI_CURRENCY", "eur")
    monkeypatch.setenv("OTEL_KPI_CURRENCY_RATES", "USD:EUR=0.5, ")
    answer = written.price("m")
    assert isinstance(answer, Price)
    assert (answer.amount, answer.currency) == (1, "EUR")


def test_a_span_says_with_what_its_amount_was_converted(written: Written, series: Measured) -> None:
    written.use("", currency="EUR", rates=("USD:EUR=0.5@2026-11-01",))
    call = Call(
        endpoint="https://api.openai.com/v1",
        provider="openai",
        request_model="gpt-4o",
        counts={"input_tokens": 1_000_000},
        began=NOW,
    )
    attributes = ended(call)
    assert attributes["gen_ai.usage.cost.amount"] == 1.25
    assert attributes["gen_ai.usage.cost.currency"] == "EUR"
    assert attributes["kpi.llm.price.exchange"] == "1 USD = 0.5 EUR since 2026-11-01"
    call.charged = (Decimal("0.5"), "usd")
    attributes = ended(call)
    assert attributes["gen_ai.usage.cost.amount"] == 0.25
    assert attributes["gen_ai.usage.cost.source"] == "provider"
    assert attributes["kpi.llm.price.exchange"] == "1 USD = 0.5 EUR since 2026-11-01"
    call.charged = (Decimal("0.5"), "CHF")
    attributes = ended(call)
    assert attributes["gen_ai.usage.cost.currency"] == "CHF"
    assert "kpi.llm.price.exchange" not in attributes
    amounts = {dict(labels)["gen_ai_usage_cost_currency"] for labels in series.points("kpi_llm_cost_total")}
    assert amounts == {"EUR", "CHF"}
