"""The trace pages over a real store: what they show, and that nothing in a span can break out of them."""

from __future__ import annotations

from contextlib import closing
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient
from support.dev import hostile
from support.dev.asked import ADDRESS, filled, logs, span, spans
from support.dev.made import START_NS

from otel_kpi.dev.app import make_app
from otel_kpi.dev.state import Dev
from otel_kpi.dev.store import Store
from otel_kpi.dev.store.reading.traces import StoredTraces
from otel_kpi.dev.telemetry import Link, LogRecord
from otel_kpi.dev.viewer import files

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Pages

    from otel_kpi.dev.telemetry import Value


class Parsed(HTMLParser):
    """What a browser would make of a page, as far as it matters here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def all_traces(pages: Pages) -> list[str]:
    return [row[0].hex() for row in pages.store.reader().execute("SELECT trace_id FROM trace WHERE id > (SELECT max(id) - 20 FROM trace)")]  # fmt: skip


def assert_inert(text: str) -> None:
    for tag, attributes in Parsed(text).tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert tag not in {"iframe", "object", "embed", "base", "style", "meta"} or tag == "meta", tag
        if tag == "script":
            source = attributes.get("src") or ""
            assert source.startswith("/static/") or attributes.get("type") == "application/json"
        if tag == "img":
            assert (attributes.get("src") or "").startswith("/static/")
        href = attributes.get("href") or ""
        assert href.startswith(("/", "?", "#", "http://", "https://", "mailto:")) or not href, href


def test_the_list_shows_what_each_trace_is(pages: Pages) -> None:
    text = pages.client.get("/traces?q=chat&service=assistant").text
    assert text.count("<tr class=") >= 1
    assert "POST /ask" in text
    assert "✦" in text
    assert 'href="/traces/' in text
    assert_inert(text)


def test_a_list_goes_on_before_its_last_row_without_repeating_one(pages: Pages) -> None:
    listed: list[str] = []
    address: str | None = "/traces"
    while address and len(listed) < 200:
        parsed = Parsed(pages.client.get(address).text).tags
        listed += [attributes["data-trace"] or "" for _, attributes in parsed if "data-trace" in attributes]
        address = next(
            (attributes["href"] for _, attributes in parsed if attributes.get("rel") == "next"), None
        )
    assert len(listed) >= 200
    assert len(set(listed)) == len(listed)


def test_a_search_narrows_by_every_field(pages: Pages) -> None:
    text = pages.client.get("/traces", params={"service": "payments", "status": "error", "q": "declined", "min": "1ms", "max": "1h"}).text  # fmt: skip
    rows = [attributes for _, attributes in Parsed(text).tags if "data-trace" in attributes]
    assert rows
    assert all("failed" in (attributes["class"] or "") for attributes in rows)
    nothing = pages.client.get("/traces", params={"q": "kpi.tenant=nobody-at-all"}).text
    assert "No trace fits" in nothing


def test_what_is_not_understood_is_said_and_harms_nothing(pages: Pages) -> None:
    answer = pages.client.get("/traces?min=soon&status=<b>&before=x&q=%22%27%00")
    assert answer.status_code == 200
    assert "Not understood" in answer.text
    assert "<b>" not in answer.text


def test_a_pasted_trace_id_opens_the_trace(pages: Pages) -> None:
    wanted = all_traces(pages)[0]
    answer = pages.client.get(f"/traces?q={wanted}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/traces/{wanted}")


def test_a_trace_that_is_not_here_says_so(pages: Pages) -> None:
    answer = pages.client.get("/traces/" + "0" * 31 + "1")
    assert answer.status_code == 404
    assert "No such trace" in answer.text
    assert pages.client.get("/traces/<script>").status_code == 404


def test_a_statement_that_repeats_is_folded_and_can_be_unfolded_by_its_address(pages: Pages) -> None:
    wanted = pages.trace_id("s.s = 'GET /products' AND t.statements > 8")
    folded = pages.client.get(f"/traces/{wanted}").text
    assert "N+1" in folded
    assert "· Σ " in folded
    row = next(
        attributes
        for _, attributes in Parsed(folded).tags
        if "repeats" in (attributes.get("class") or "").split()
    )
    assert row["aria-expanded"] == "false"
    opened = pages.client.get(f"/traces/{wanted}?opened={row['id']}").text
    assert opened.count(" hidden ") < folded.count(" hidden ")
    assert "N+1" not in pages.client.get(f"/traces/{wanted}?repeats=all").text


def test_a_call_of_a_model_is_shown_for_what_it_is(pages: Pages) -> None:
    captured = pages.trace_id("n.s LIKE 'chat %' AND p.attrs LIKE '%Where is my order%'")
    span = next(row[0].hex() for row in pages.store.reader().execute("SELECT p.span_id FROM span p JOIN trace t ON t.id = p.trace WHERE t.trace_id = ? AND p.attrs LIKE '%Where is my order%'", (bytes.fromhex(captured),)))  # fmt: skip
    text = pages.client.get(f"/traces/{captured}?span={span}").text
    for shown in (
        "Tokens in",
        "Tokens out",
        "Where is my order?",
        "find_order",
        "It is on its way.",
        "tool call",
        "Finish",
    ):
        assert shown in text, shown
    silent = pages.trace_id(
        "n.s LIKE 'chat %' AND p.attrs NOT LIKE '%Where is my order%' AND t.llm_calls = 1"
    )
    text = pages.client.get(f"/traces/{silent}?span={pages.span_id(silent, 'chat %')}").text
    assert "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only" in text


def test_a_stage_is_shown_for_what_it_is(pages: Pages) -> None:
    run = pages.trace_id("s.s LIKE 'run %' AND n.s LIKE 'check %'")
    text = pages.client.get(f"/traces/{run}/spans/{pages.span_id(run, 'check %')}").text
    for shown in ("Stage of", "rejected", "Quality", "missing_email", "Rejected by reason", "validate"):
        assert shown in text, shown
    assert "<html" not in text


def test_a_failure_is_shown_with_its_stack_and_its_log_record(pages: Pages) -> None:
    failed = pages.trace_id("s.s = 'POST /checkout' AND t.errors > 0")
    text = pages.client.get(f"/traces/{failed}?span={pages.span_id(failed, 'POST /charge')}").text
    for shown in ("payments.CardDeclined", "Traceback (most recent call last)", "card declined", "ERROR"):
        assert shown in text, shown
    logs = pages.client.get(f"/traces/{failed}?view=logs").text
    assert "card declined" in logs
    statistics = pages.client.get(f"/traces/{failed}?view=statistics").text
    assert "Own time" in statistics


def test_hostile_text_in_every_field_is_inert_on_every_page(pages: Pages) -> None:
    seen = 0
    for wanted in all_traces(pages):
        spans = [row[0].hex() for row in pages.store.reader().execute("SELECT p.span_id FROM span p JOIN trace t ON t.id = p.trace WHERE t.trace_id = ?", (bytes.fromhex(wanted),))]  # fmt: skip
        for address in (f"/traces/{wanted}", f"/traces/{wanted}?view=statistics", f"/traces/{wanted}?view=logs", *(f"/traces/{wanted}?span={identity}" for identity in spans[:4]), f"/compare?a={wanted}&b={wanted}"):  # fmt: skip
            answer = pages.client.get(address)
            assert answer.status_code == 200, address
            assert_inert(answer.text)
            seen += hostile.HTML[:12] in answer.text
    assert not seen, "it stands there as it was sent"
    for address in ("/traces", "/map", "/traces?q=" + hostile.HTML, "/compare?a=%3Cscript%3E&b=%22%3E"):
        assert_inert(pages.client.get(address).text)


def test_a_megabyte_is_cut_on_its_page_and_whole_at_its_own_address(pages: Pages) -> None:
    wanted = pages.trace_id("n.s = 'carries a megabyte'")
    span = pages.span_id(wanted, "carries a megabyte")
    page = pages.client.get(f"/traces/{wanted}?span={span}")
    assert len(page.content) < 120_000
    whole = pages.client.get(f"/traces/{wanted}/spans/{span}/attribute?key=body")
    assert len(whole.text) > 900_000
    assert whole.headers["content-type"].startswith("text/plain")


def test_the_map_has_each_caller_in_drawing_and_table(pages: Pages) -> None:
    store = pages.store
    assert store.reader().execute("SELECT count(*) FROM call").fetchone()[0]
    text = pages.client.get("/map").text
    assert_inert(text)


def test_two_traces_stand_over_each_other(pages: Pages) -> None:
    first, second = (pages.trace_id("s.s = ?", name) for name in ("GET /products", "POST /checkout"))
    text = pages.client.get(f"/compare?a={first}&b={second}").text
    assert "only in the first" in text
    assert "only in the second" in text
    assert "same" in pages.client.get(f"/compare?a={first}&b={first}").text
    assert pages.client.get(f"/compare?a={first}&b={'0' * 32}").status_code == 404
    assert "Tick two" in pages.client.get("/compare").text


def test_an_empty_page_says_what_to_run_with_the_port_that_listens() -> None:
    store = Store(None)
    dev = Dev(traces=StoredTraces(store), store=store, address="http://127.0.0.1:4399")
    with TestClient(make_app(dev), base_url="http://127.0.0.1:4399") as client:
        text = client.get("/traces").text
        assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4399" in text
        assert "Nothing was received" in text
        assert "No calls between services" in client.get("/map").text
    store.close()


def test_what_to_run_says_where_the_token_goes_and_not_the_token() -> None:
    with closing(Store(None)) as store:
        dev = Dev(traces=StoredTraces(store), store=store, address=ADDRESS, token="a-secret")
        with TestClient(
            make_app(dev), base_url=ADDRESS, headers={"authorization": "Bearer a-secret"}
        ) as client:
            for path in ("/", "/traces", "/llm", "/pipelines", "/help"):
                text = client.get(path).text
                assert "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN" in text, path
                assert "a-secret" not in text


def test_a_theme_that_was_chosen_is_drawn_from_the_first_byte(pages: Pages) -> None:
    assert "data-theme" not in pages.client.get("/traces").text
    text = pages.client.get("/traces", headers={"cookie": "otel_kpi_theme=dark"}).text
    assert '<html lang="en" data-theme="dark">' in text
    text = pages.client.get("/traces", headers={"cookie": 'otel_kpi_theme="><script>'}).text
    assert "data-theme" not in text


def test_files_are_kept_by_their_version_and_a_path_leads_to_no_other(pages: Pages) -> None:
    style = pages.client.get(files.address("base.css"))
    assert style.headers["cache-control"] == "public, max-age=31536000, immutable"
    script = pages.client.get(files.address("keys.js"))
    assert (script.headers["cache-control"], script.headers["content-type"]) == (
        "no-cache",
        "text/javascript; charset=utf-8",
    )
    again = pages.client.get("/static/keys.js", headers={"if-none-match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in (
        "/static/../rendering.py",
        "/static/%2e%2e%2frendering.py",
        "/static/nothing.js",
        "/static/",
    ):
        assert pages.client.get(path).status_code == 404, path


@pytest.mark.parametrize("address", ["/traces", "/map", "/compare", "/traces/1"])
def test_every_page_has_its_landmarks_and_its_policy(pages: Pages, address: str) -> None:
    answer = pages.client.get(address)
    tags = [tag for tag, _ in Parsed(answer.text).tags]
    assert (tags.count("main"), tags.count("h1"), tags.count("header")) == (1, 1, 1)
    assert 'class="skip" href="#main"' in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_span_leads_to_those_that_link_to_it(tmp_path: Path) -> None:
    message, received = span({}, name="send order"), span({}, name="receive <b>orders</b>")
    received.links = [Link(message.trace_id, message.span_id)]
    with filled(tmp_path / "dev.db", [spans(message, received)]) as store:
        dev = Dev(traces=StoredTraces(store), store=store, address=ADDRESS)
        with TestClient(make_app(dev), base_url=ADDRESS) as client:
            text = client.get(f"/traces/{message.trace_id.hex()}/spans/{message.span_id.hex()}").text
            assert "Linked from" not in client.get(f"/traces/{received.trace_id.hex()}").text
    assert "Linked from" in text
    assert f'href="/traces/{received.trace_id.hex()}?span={received.span_id.hex()}"' in text
    assert_inert(text)


@pytest.mark.parametrize("number", ["9" * 5_000, "9223372036854775808", "\uff11", "-1", "%00"])
@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/errors/{}", 404), ("/errors?before={}-{}", 200), ("/instruments/{}", 404), ("/pipelines?before={}", 200),
        ("/live/rows?rows={}", 200), ("/logs?before={}&after={}", 200), ("/traces?before={}&from={}&min={}s", 200),
    ],
)  # fmt: skip
def test_a_number_that_is_none_is_no_fault(pages: Pages, address: str, status: int, number: str) -> None:
    assert pages.client.get(address.replace("{}", number)).status_code == status


def test_what_narrows_the_list_stays_when_another_field_is_filled_in(pages: Pages) -> None:
    asked = {"q": "orders", "service": "gateway", "kind": "server", "from": "2020-01-01", "status": "unset"}
    text = pages.client.get("/traces", params=asked).text
    search, filters = text.split('<form class="find"')[1], text.split('<form class="filters"')[1]
    for form, given in ((search, {"service", "kind", "from", "status"}), (filters, {"q", "kind", "from"})):
        tags = [attributes for tag, attributes in Parsed(form.split("</form>")[0]).tags if tag == "input"]
        kept = {each["name"]: each["value"] for each in tags if each.get("type") == "hidden"}
        assert kept == {key: asked[key] for key in given}
    chip = next(each["href"] or "" for _, each in Parsed(text).tags if each.get("aria-label") == "Any kind")
    assert "kind" not in chip
    assert all(key in chip for key in ("q=orders", "service=gateway", "from=", "status=unset"))


def test_log_records_that_are_too_many_for_a_page_are_said_to_be_more(tmp_path: Path) -> None:
    trace_id = bytes.fromhex("ab" * 16)
    with filled(tmp_path / "dev.db", [spans(span({}, trace_id=trace_id))]) as store:
        store.write([logs(*(LogRecord(START_NS + number, 0, trace_id=trace_id) for number in range(1_001)))])  # fmt: skip
        dev = Dev(traces=StoredTraces(store), store=store, address=ADDRESS)
        with TestClient(make_app(dev), base_url=ADDRESS) as client:
            text = client.get(f"/traces/{trace_id.hex()}?view=logs").text
    assert "The first 1,000; " in text
    assert f'/logs?trace={trace_id.hex()}"' in text


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"gen_ai.operation.name": "image_generation", "gen_ai.request.model": "m", "gen_ai.usage.cost.amount": 0.5}, "$0.50"),
        ({"openinference.span.kind": "LLM", "llm.model_name": "m", "llm.token_count.prompt": 7}, "LLM calls"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m"}, ""),
    ],
)  # fmt: skip
def test_a_trace_counts_the_calls_that_the_list_counts(tmp_path: Path, attributes: dict[str, Value], text: str) -> None:  # fmt: skip
    sent = span(attributes)
    with filled(tmp_path / "dev.db", [spans(sent)]) as store:
        dev = Dev(traces=StoredTraces(store), store=store, address=ADDRESS)
        with TestClient(make_app(dev), base_url=ADDRESS) as client:
            listed, shown = client.get("/traces").text, client.get(f"/traces/{sent.trace_id.hex()}").text
    assert ("✦" in listed) is bool(text)
    assert ("<dt>LLM calls</dt>" in shown) is bool(text)
    assert text in shown
