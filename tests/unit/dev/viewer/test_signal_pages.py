"""Live, metrics, logs and the telemetry itself as pages: whole without a script, whatever was sent."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from support.dev import hostile, samples
from support.dev.served import Served, served

if TYPE_CHECKING:
    from collections.abc import Generator

SECOND = 1_000_000_000


class Read(HTMLParser):
    """What a browser would make of a page: its elements, and what would run."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def server() -> Generator[Served]:
    with served() as running:
        running.store.write(list(samples.requests(400, start_ns=time.time_ns() - 60 * SECOND)))
        for text in hostile.TEXTS[:3]:
            running.store.write(hostile.in_every_field(text))
        running.store.tally.add("traces", "malformed", 2, last=hostile.HTML, now=time.time())
        running.intake.count("logs", "refused", 4)
        running.store.write(list(samples.requests(40, 1, start_ns=time.time_ns() - 2 * SECOND)))
        yield running


@pytest.fixture(scope="module")
def empty() -> Generator[Served]:
    with served() as running:
        yield running


def page(server: Served, path: str, status: int = 200) -> Read:
    answer = server.request("GET", path)
    assert answer.status == status, (path, answer.body[-500:])
    read = Read()
    read.feed(answer.body.decode())
    return read


def addresses(server: Served) -> list[str]:
    instruments = [
        f"/instruments/{number}"
        for (number,) in server.store.reader().execute("SELECT id FROM metric ORDER BY id")
    ]
    return [
        "/", "/live/now", "/live/rows", "/instruments", *instruments, "/logs", "/logs/rows", "/telemetry",
        "/logs?q=order", "/logs?level=error", "/logs?q=a%3D%22b%20c%22&level=nonsense&trace=zz&before=x&service=%00",
        f"{instruments[0]}?window=24h&by=http.route&service=orders&where=http.route=/products&where=nonsense",
        "/telemetry?minutes=1440", "/telemetry?minutes=drop",
    ]  # fmt: skip


def test_every_page_is_drawn_and_nothing_that_was_sent_runs_or_breaks_out(server: Served) -> None:
    for path in addresses(server):
        read = page(server, path)
        for tag, attributes in read.elements:
            assert not [name for name in attributes if name.startswith("on")], (path, tag)
            assert not (attributes.get("href") or "").lower().strip().startswith("javascript:"), path
        assert all((each.get("src") or "").startswith("/static/") for each in read.of("script")), path
        assert not [each for each in read.of("img") if each.get("src") == "x"], path


def test_live_says_what_happens_now_and_lists_the_newest_traces(server: Served) -> None:
    read = page(server, "/")
    text = " ".join(read.text)

    assert "Requests a second" in text
    assert "gateway" in text
    assert "$" in text, "what language models cost"
    rows = [int(each["data-number"] or 0) for each in read.of("li") if "data-number" in each]
    assert rows == sorted(rows, reverse=True) != []
    assert [each for each in read.of("a") if each.get("href") == "/"], "a link draws it anew without a script"


def test_rows_are_given_by_number_and_nonsense_gives_the_newest(server: Served) -> None:
    newest = [each["data-number"] for each in page(server, "/live/rows").of("li")]

    assert [
        each["data-number"] for each in page(server, f"/live/rows?rows={newest[3]},{newest[1]}").of("li")
    ] == [newest[1], newest[3]]
    assert [
        each["data-number"] for each in page(server, "/live/rows?rows=x,,99999999999999999999").of("li")
    ] == newest


def test_an_instrument_shows_percentiles_and_counts_and_exemplars_that_open_traces(server: Served) -> None:
    number = (
        server.store.reader()
        .execute("SELECT id FROM metric WHERE name = 'http.server.request.duration'")
        .fetchone()[0]
    )

    read = page(server, f"/instruments/{number}?window=5m")

    text = " ".join(read.text)
    assert {"p50", "p95", "p99"} <= set(text.split())
    assert "Values a second" in text
    links = [each.get("href") or "" for each in read.of("a")]
    assert any(re.fullmatch(r"/traces/[0-9a-f]{32}\?span=[0-9a-f]{16}", link) for link in links)
    for missing in ("999999", "x", "9" * 30):
        page(server, f"/instruments/{missing}", 404)


def test_another_window_keeps_all_that_narrows(server: Served) -> None:
    [number] = server.store.reader().execute("SELECT id FROM metric WHERE name = 'http.server.request.duration'").fetchone()  # fmt: skip
    read = page(server, f"/instruments/{number}?where=a%3D1&where=b%3D2&by=service")
    windows = [each["href"] or "" for each in read.of("a") if "window=" in (each.get("href") or "")]
    assert windows
    assert all("where=a%3D1&where=b%3D2" in href and "by=service" in href for href in windows)


def test_the_tree_of_instruments_is_narrowed_by_words_and_service(server: Served) -> None:
    assert "kpi.llm.cost" in " ".join(page(server, "/instruments?q=paid").text)
    assert "kpi.llm.cost" not in " ".join(page(server, "/instruments?q=memory").text)
    assert "No instrument fits" in " ".join(page(server, "/instruments?service=nobody").text)


def test_logs_lead_to_their_traces_and_go_on(server: Served) -> None:
    read = page(server, "/logs")
    links = [each.get("href") or "" for each in read.of("a")]

    assert any(re.fullmatch(r"/traces/[0-9a-f]{32}(\?span=[0-9a-f]{16})?", link) for link in links)
    numbers = _numbers(read)
    assert _numbers(page(server, f"/logs?before={numbers[0]}"))[0] == numbers[1]
    assert _numbers(page(server, f"/logs/rows?after={numbers[2]}")) == numbers[:2]


def _numbers(read: Read) -> list[int]:
    return [int(each["data-number"] or 0) for each in read.of("div") if "data-number" in each]


def test_what_was_lost_is_said_with_its_reason(server: Served) -> None:
    text = " ".join(page(server, "/telemetry").text)

    assert "malformed" in text
    assert hostile.HTML in text
    assert "refused" in text
    assert "the oldest is forgotten beyond" in text


@pytest.mark.parametrize("path", ["/", "/instruments", "/logs", "/telemetry"])
def test_an_empty_page_says_the_exact_command(empty: Served, path: str) -> None:
    text = " ".join(page(empty, path).text)

    assert f"OTEL_EXPORTER_OTLP_ENDPOINT={empty.dev.address}" in text


def test_headings_and_labels_are_there_for_who_hears_the_page(server: Served) -> None:
    for path in ("/", "/instruments", "/instruments/1", "/logs", "/telemetry"):
        read = page(server, path)
        assert len(read.of("h1")) == 1, path
        ids = [each["id"] for _, each in read.elements if each.get("id")]
        assert len(ids) == len(set(ids)), path
        labelled = {each.get("for") for each in read.of("label")}
        for control in [
            *read.of("select"),
            *(each for each in read.of("input") if each.get("type") not in {"hidden", "checkbox"}),
        ]:
            assert control.get("id") in labelled or control.get("aria-label"), (path, control)
