from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from otel_kpi.exposition import page, summary_json
from otel_kpi.exposition.exponential import Exponential
from otel_kpi.exposition.families import Distribution, Family
from otel_kpi.exposition.figures import Durations, figures_of
from otel_kpi.exposition.totals import Totals

if TYPE_CHECKING:
    from otel_kpi.exposition.families import Kind, Value

NOW = datetime(2025, 12, 16, 18, tzinfo=UTC)


def totals(*families: Family) -> Totals:
    return Totals({each.name: each for each in families}, ['app="shop",version="2"'], 4, NOW.timestamp() - 2)


def family(name: str, kind: Kind, series: dict[str, Value]) -> Family:
    return Family(name, kind, series=series)


def distribution(count: int, total: float) -> Distribution:
    return Distribution((0.1, 1.0), (0, count, 0), total)


def summary(of: Totals, prefix: str | None = None) -> Any:
    return json.loads(summary_json.written(figures_of(of, prefix), NOW))


CHATBOT = (
    family(
        "http_server_request_duration_seconds",
        "histogram",
        {
            'http_response_status_code="200",http_route="/a"': distribution(1400, 400.0),
            'http_response_status_code="302"': distribution(98, 27.0),
            'http_response_status_code="404"': distribution(32, 40.0),
            'http_response_status_code="500"': distribution(11, 60.0),
            'error_type="ClientDisconnect"': distribution(1, 0.364),
        },
    ),
    family("kpi_chat_sessions_active", "updowncounter", {"": 23}),
    family(
        "kpi_chat_messages_total",
        "counter",
        {
            'kpi_chat_language="ar",kpi_chat_role="user"': 400,
            'kpi_chat_language="ar",kpi_chat_role="assistant"': 245,
            'kpi_chat_language="en",kpi_chat_role="user"': 28,
            'kpi_chat_language="en",kpi_chat_role="assistant"': 183,
        },
    ),
    family("gen_ai_client_operation_duration_seconds", "histogram", {'a="b"': distribution(428, 530.72)}),
    family(
        "gen_ai_client_token_usage",
        "histogram",
        {
            'gen_ai_token_type="input"': distribution(428, 100_000),
            'gen_ai_token_type="output"': Exponential(0, 0, ((3, 428),), (), 25_432.0),
        },
    ),
    family(
        "db_client_connection_count",
        "updowncounter",
        {'db_client_connection_state="used"': 5, 'db_client_connection_state="idle"': 7},
    ),
    family(
        "db_client_operation_duration_seconds",
        "histogram",
        {
            'db_system_name="postgresql"': distribution(100, 2.3),
            'db_system_name="redis"': distribution(5, 900.0),
        },
    ),
    family(
        "kpi_chat_errors_total",
        "counter",
        {
            'error_type="ValidationError",severity="warning"': 30,
            'error_type="ValidationError",severity="error"': 2,
            'error_type="TimeoutError",severity="error"': 12,
        },
    ),
)


def test_the_summary_has_the_shape_of_the_document_and_its_figures() -> None:
    assert summary(totals(*CHATBOT)) == {
        "success": True,
        "metrics": {
            "requests": {"total": 1542, "success": 1498, "errors": 44, "avgDuration": 0.342},
            "sessions": {"active": 23},
            "messages": {
                "total": 856,
                "byRole": {"user": 428, "assistant": 428},
                "byLanguage": {"ar": 645, "en": 211},
            },
            "ai": {"requests": 428, "avgDuration": 1.24, "tokensUsed": 125432},
            "database": {"connections": 5, "avgQueryDuration": 0.023},
            "errors": {"total": 44, "byType": {"ValidationError": 32, "TimeoutError": 12}},
        },
        "timestamp": "2025-12-16T18:00:00.000Z",
    }


def test_the_page_on_it_shows_this_summary() -> None:
    page = (Path(__file__).parents[3] / "docs" / "exposition.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert json.loads(block) == summary(totals(*CHATBOT))


def test_what_nobody_measured_is_null_and_what_stands_at_zero_is_zero() -> None:
    metrics = summary(totals())["metrics"]
    assert metrics == {
        "requests": {"total": None, "success": None, "errors": None, "avgDuration": None},
        "sessions": {"active": None},
        "messages": {"total": None, "byRole": None, "byLanguage": None},
        "ai": {"requests": None, "avgDuration": None, "tokensUsed": None},
        "database": {"connections": None, "avgQueryDuration": None},
        "errors": {"total": None, "byType": None},
    }
    metrics = summary(
        totals(
            family("kpi_chat_sessions_active", "updowncounter", {"": 0}),
            family("kpi_chat_errors_total", "counter", {'error_type="A"': 0}),
            family("db_client_connection_count", "updowncounter", {'db_client_connection_state="used"': 0.0}),
            family("http_server_request_duration_seconds", "histogram", {"": distribution(0, 0)}),
        )
    )["metrics"]
    assert metrics["sessions"] == {"active": 0}
    assert metrics["errors"] == {"total": 0, "byType": {"A": 0}}
    assert metrics["database"]["connections"] == 0
    assert metrics["requests"] == {"total": 0, "success": 0, "errors": 0, "avgDuration": None}


def test_older_names_are_read_where_the_others_are_missing() -> None:
    older = totals(
        family("inn_http_request_duration_seconds", "histogram", {'status_code="200"': distribution(3, 6.0)}),
        family("inn_active_sessions", "gauge", {"": 2.0}),
        family("inn_messages_total", "counter", {'language="fr",role="user"': 9.0}),
        family("inn_ai_request_duration_seconds", "histogram", {'model="m"': distribution(2, 1.0)}),
        family("inn_ai_tokens_total", "counter", {'type="prompt"': 10, 'type="completion"': 5}),
        family("inn_db_connections", "gauge", {"": 4}),
        family("inn_errors_total", "counter", {'type="X"': 1}),
    )
    metrics = summary(older, "inn")["metrics"]
    assert metrics["requests"] == {"total": 3, "success": 3, "errors": 0, "avgDuration": 2.0}
    assert metrics["sessions"] == {"active": 2}
    assert metrics["messages"] == {"total": 9, "byRole": {"user": 9}, "byLanguage": {"fr": 9}}
    assert metrics["ai"] == {"requests": 2, "avgDuration": 0.5, "tokensUsed": 15}
    assert metrics["database"]["connections"] == 4
    assert metrics["errors"] == {"total": 1, "byType": {"X": 1}}
    assert summary(older)["metrics"]["sessions"] == {"active": None}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_no_number_is_null(value: float) -> None:
    metrics = summary(
        totals(
            family("kpi_chat_sessions_active", "updowncounter", {"": value}),
            family("gen_ai_client_operation_duration_seconds", "histogram", {"": distribution(2, value)}),
        )
    )["metrics"]
    assert metrics["sessions"] == {"active": None}
    assert metrics["ai"]["avgDuration"] is None


def test_quantiles_are_those_of_prometheus() -> None:
    durations = Durations(10, 5.0, ((0.1, 2), (0.5, 6), (1.0, 9)))
    assert durations.quantile(0.5) == pytest.approx(0.1 + 0.4 * 3 / 4)
    assert durations.quantile(0.1) == pytest.approx(0.05)
    assert durations.quantile(0.99) == math.inf
    assert Durations(0, 0, ()).quantile(0.5) is None


# --- the page


class Looked(HTMLParser):
    """What a browser finds: texts by tag, and everything that is fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in {"meta", "link"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)


def shown(of: Totals) -> Looked:
    looked = Looked(page.written(figures_of(of), of, NOW.timestamp()).decode())
    assert looked._open == []
    return looked


def test_the_page_says_what_the_summary_says() -> None:
    looked = shown(totals(*CHATBOT))
    assert looked.texts["h1"] == ["shop"]
    assert looked.texts["dt"][:3] == ["Requests", "Success", "Errors"]
    assert [each.replace("\u202f", "").strip() for each in looked.texts["dd"][:3]] == ["1542", "1498", "44"]
    assert {"p50", "p95", "p99", "Active sessions", "Connections in use"} <= set(looked.texts["dt"])
    rows = set(looked.texts["th"])
    assert {"user", "assistant", "ar", "en", "ValidationError", "TimeoutError", "100 ms–1 s"} <= rows
    assert any(
        "4 processes" in text and "2 s old" in "".join(looked.texts["p"]) for text in looked.texts["p"]
    )


def test_what_nobody_measured_is_said_on_the_page() -> None:
    looked = shown(totals())
    assert looked.texts["dd"] == ["not measured"] * len(looked.texts["dd"])
    assert "not measured" in looked.texts["p"]


def test_no_label_becomes_part_of_the_page() -> None:
    evil = '</td><script>alert(1)</script><img src="x">&amp;'
    text = evil.replace('"', '\\"')
    of = totals(family("kpi_chat_errors_total", "counter", {f'error_type="{text}"': 1}))
    of.targets = [f'app="{text}",version="{text}"']
    looked = shown(of)
    assert looked.tags.count("script") == 1
    assert "img" not in looked.tags
    assert looked.texts["h1"] == [evil]
    assert evil in looked.texts["th"]


def test_nothing_is_fetched_from_elsewhere_and_no_other_script_may_run() -> None:
    body = page.written(figures_of(totals()), totals()).decode()
    looked = Looked(body)
    fetched = {value for _, name, value in looked.attributes if name in {"src", "href", "srcset", "action"}}
    assert fetched == {"data:,"}
    assert not [name for _, name, _ in looked.attributes if name.startswith("on") or name == "style"]
    policy = next(value for _, name, value in looked.attributes if name == "content" and "src" in value)
    for tag in ("style", "script"):
        inside = re.search(rf"<{tag}[^>]*>(.*?)</{tag}>", body, re.DOTALL)
        assert inside is not None
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_page_without_scripts_loads_anew_and_each_table_can_be_read_aloud() -> None:
    looked = shown(totals(*CHATBOT))
    assert (
        '<noscript><meta http-equiv="refresh" content="30"></noscript>'
        in page.written(figures_of(totals()), totals()).decode()
    )
    assert looked.tags.count("table") == looked.tags.count("caption") > 3
    assert {value for tag, name, value in looked.attributes if (tag, name) == ("th", "scope")} == {
        "row",
        "col",
    }
    assert all(("svg", "aria-hidden", "true") in looked.attributes for tag in looked.tags if tag == "svg")
    assert ("p", "aria-live", "polite") in looked.attributes
    assert ("html", "lang", "en") in looked.attributes


def test_a_reason_is_given_where_there_is_nothing_to_see() -> None:
    looked = Looked(page.refused("telemetry is <off>").decode())
    assert "telemetry is <off>" in looked.texts["p"]
    assert json.loads(summary_json.refused("off", NOW)) == {
        "success": False,
        "error": "off",
        "timestamp": "2025-12-16T18:00:00.000Z",
    }
