"""Pages of calls, pipelines and errors: what they say of what was sent, of nothing, and of what nobody should send."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from support.dev import day as day_of
from support.dev import hostile, samples
from support.dev.asked import ADDRESS, asking, call, filled, span, spans
from support.dev.made import START_NS

from otel_kpi.dev.telemetry import Event
from otel_kpi.dev.viewer.pages.llm import WHAT_TO_DO, precise

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from starlette.testclient import TestClient

    from otel_kpi.dev.telemetry import Request

PAGES = ("/llm", "/pipelines", "/errors")
_VOID = {"meta", "link", "input", "img", "br", "hr", "rect", "circle", "line", "path", "use"}


class Page(HTMLParser):
    """What a page is made of: its tags, links and text; it fails where a tag is closed that is not open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " "
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        while self.open and self.open[-1] in {"li", "option", "p", "dt", "dd"} and self.open[-1] != tag:
            self.open.pop()  # an end that may be left out
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def said(self) -> str:
        return re.sub(r"\s+", " ", self.text)

    def links(self, begin: str) -> list[str]:
        return [
            href
            for tag, attrs in self.tags
            if tag == "a" and (href := attrs.get("href") or "").startswith(begin)
        ]


def read(client: TestClient, path: str, status: int = 200) -> Page:
    answer = client.get(path)
    assert answer.status_code == status, path
    return Page(answer.text)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Generator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        # More runs of pipelines than there are beside a shop.
        patch.setattr(
            samples.day,
            "KINDS",
            ((day_of.browse, 20), (day_of.checkout, 40), (day_of.ask, 20), (day_of.pipeline, 10)),
        )
        sent = list(samples.requests(3_000, seed=3))
    with filled(tmp_path_factory.mktemp("day") / "dev.db", sent) as store, asking(store) as client:
        yield client


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Generator[TestClient]:
    with filled(tmp_path_factory.mktemp("nothing") / "dev.db") as store, asking(store) as client:
        yield client


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_page_says_what_to_run_and_that_nothing_came(nothing: TestClient, path: str) -> None:
    page = read(nothing, path)
    assert ADDRESS in page.said
    assert "Nothing was received since this store was made." in page.said
    assert [tag for tag, attrs in page.tags if tag == "pre" and attrs.get("class") == "command"]


def test_the_examples_of_empty_pages_are_python(nothing: TestClient) -> None:
    for path in PAGES[:2]:
        html = nothing.get(path).text
        (example,) = re.findall(r'<pre class="code"><code>(.*?)</code>', html, re.DOTALL)
        compile(example.replace("&#34;", '"').replace("&#39;", "'"), path, "exec")


@pytest.mark.parametrize(
    "path",
    [
        *PAGES,
        "/llm?by=tenant&model=gpt-4o&status=error",
        "/errors?q=declined&service=payments",
        "/pipelines?status=error",
    ],
)
def test_pages_of_a_day_are_whole_and_lead_further(day: TestClient, path: str) -> None:
    page = read(day, path)
    assert len([tag for tag, _ in page.tags if tag == "h1"]) == 1
    for href in page.links("/llm") + page.links("/pipelines") + page.links("/errors"):
        assert day.get(href).status_code == 200, href
    for href in page.links("/traces/"):
        assert re.fullmatch(r"/traces/[0-9a-f]{32}(\?span=[0-9a-f]{16})?", href)
    # Nothing within a page needs what its policy forbids.
    assert not [
        attrs for tag, attrs in page.tags if tag == "style" or any(key.startswith("on") for key in attrs)
    ]
    assert all(attrs.get("src") for tag, attrs in page.tags if tag == "script")


def test_calls_show_each_currency_for_itself_and_what_nobody_can_price(day: TestClient) -> None:
    said = read(day, "/llm").said
    assert re.search(r"Spent, EUR €\d+\.\d\d", said)
    assert re.search(r"Spent, USD \$\d+\.\d\d", said)
    assert f"unknown_model {WHAT_TO_DO['unknown_model']}" in said
    assert "house-model unknown" in said
    assert "First token, half within" in said


def test_filters_are_in_the_address_and_can_be_taken_away(day: TestClient) -> None:
    page = read(day, "/llm?by=tenant&tenant=acme&model=gpt-4o&range=all")
    assert "/llm?by=tenant&model=gpt-4o&range=all" in page.links("/llm?")
    assert "tenant: acme" in page.said
    assert "No call fits" in read(day, "/llm?tenant=nobody").said
    assert read(day, "/llm?range=nonsense&by=nonsense").said == read(day, "/llm").said


def test_a_time_without_calls_is_no_zero(tmp_path: Path) -> None:
    with filled(tmp_path / "dev.db", [spans(call())]) as store, asking(store) as client:
        said = read(client, "/llm?range=15m").said
        assert "No call fits" in said
        assert "$0.00" not in said
        assert "no call was streamed" in read(client, "/llm").said


def test_where_all_prices_are_unknown_nothing_is_said_to_be_free(tmp_path: Path) -> None:
    with filled(tmp_path / "dev.db", [spans(call(cost=None))]) as store, asking(store) as client:
        said = read(client, "/llm").said
    assert "Spent unknown" in said
    assert "otel-kpi run, or price it by llm.call" in said
    assert "$0" not in said


def test_tokens_that_no_call_has_told_are_not_said_to_be_none(tmp_path: Path) -> None:
    silent = call(gen_ai__usage__input_tokens=None, gen_ai__usage__output_tokens=None)
    with filled(tmp_path / "dev.db", [spans(silent)]) as store, asking(store) as client:
        said = read(client, "/llm").said
    assert "1 call told none" in said
    assert "0 → 0" not in said


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.0133", "$0.0133"), ("0.5", "$0.500"), ("0.000288", "$0.000288"), ("1.5", "$1.50"), ("0", "$0.00")],
)
def test_the_price_of_a_call_has_the_digits_that_matter(amount: str, text: str) -> None:
    assert precise(Decimal(amount), "USD") == text
    assert precise(Decimal(amount), "CHF") == f"{text[1:]} CHF"


def test_a_run_shows_its_stages_its_refusals_and_the_run_before(day: TestClient) -> None:
    page = read(day, "/pipelines?pipeline=marketing")
    run = read(day, page.links("/pipelines/")[0])
    assert re.search(r"read files extract success [\d,]+", run.said)
    assert "missing_email" in run.said
    assert "before " in run.said
    assert len(run.links("/traces/")) >= 6


def test_what_is_not_here_is_said_and_is_no_fault(day: TestClient) -> None:
    for path in ("/pipelines/no-such", "/pipelines/9" + "9" * 40, "/errors/999999", "/errors/9" + "9" * 30):
        assert "No such" in read(day, path, 404).said
    assert read(day, "/pipelines?before=x&range=%00").said
    assert read(day, "/errors?before=1-x&q=%25").said
    assert read(day, "/errors/1?occurrence=zzz").said


def test_a_trace_id_finds_the_errors_of_the_trace(day: TestClient) -> None:
    problem = read(day, read(day, "/errors").links("/errors/")[0])
    trace_id = problem.links("/traces/")[0].split("/")[2][:32]
    found = read(day, f"/errors?q={trace_id}")
    assert len(found.links("/errors/")) >= 1
    assert "No exception was recorded in the trace" in read(day, f"/errors?q={'0' * 32}").said


def test_a_problem_can_be_walked_through(tmp_path: Path) -> None:
    stack = 'Traceback (most recent call last):\n  File "/app/pay.py", line 7, in pay\n    charge()\n  File "/lib/python3.11/http.py", line 1, in do\nDeclined: no'
    sent = []
    for at in range(3):
        made = span({}, start_ns=START_NS + at, status=2)
        said = spans(
            span({"exception.type": "Declined", "exception.message": "no", "exception.stacktrace": stack})
        )
        made.events = [Event("exception", START_NS + at, said.groups[0].items[0].attributes)]
        sent.append(made)
    with filled(tmp_path / "dev.db", [spans(*sent)]) as store, asking(store) as client:
        page = read(client, "/errors/1")
        assert "3 of 3" in page.said
        earlier = page.links("/errors/1?occurrence=2")[0]
        assert "2 of 3" in read(client, earlier).said
        classes = {
            text.strip(): kind
            for kind, text in re.findall(
                r'<span class="(\w+(?: place)?)">([^<]*)</span>', client.get("/errors/1").text
            )
        }
    assert classes["File &#34;/app/pay.py&#34;, line 7, in pay"] == "own place"
    assert classes["File &#34;/lib/python3.11/http.py&#34;, line 1, in do"] == "foreign"


def hostile_requests() -> list[Request[object]]:
    return [*hostile.everywhere(), hostile.skewed(), hostile.cycle(), hostile.orphans()]


def test_what_nobody_should_send_neither_runs_nor_breaks_out(tmp_path: Path) -> None:
    with filled(tmp_path / "dev.db") as store, asking(store) as client:
        for request in hostile_requests():
            store.write([request])
        seen = set[str]()
        waiting = [*PAGES, *(f"/llm?by={by}" for by in ("feature", "tenant", "provider"))]
        while waiting:
            path = waiting.pop()
            seen.add(path)
            page = read(client, path)
            assert not [
                tag for tag, attrs in page.tags
                if (tag == "script" and not (attrs.get("src") or "").startswith("/static/")) or tag in {"textarea", "iframe"}
                or (tag == "img" and not (attrs.get("src") or "").startswith("/static/"))
                or any(key.startswith("on") for key in attrs)
            ]  # fmt: skip
            assert not page.links("javascript:")
            # Filters of filters are the same again.
            begins = ("/pipelines/", "/errors/", "/llm?model", "/pipelines?pipeline") if path in PAGES else ()
            waiting += [href for begin in begins for href in page.links(begin) if href not in seen]
        assert len([path for path in seen if path.startswith("/errors/")]) >= 5
        assert len([path for path in seen if path.startswith("/pipelines/")]) >= 5


def test_where_only_a_jaeger_is_looked_at_these_pages_say_so() -> None:
    with asking(None) as client:
        for path in PAGES:
            assert "Another Jaeger is looked at" in read(client, path).said
