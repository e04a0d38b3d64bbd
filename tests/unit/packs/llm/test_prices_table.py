"""The table in the wheel: small, quick to read, what the data say; and the calls that come while a file is read."""

from __future__ import annotations

import decimal
import errno
import json
import os
import threading
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.pace import slowdown

from otel_kpi.packs.llm import prices
from otel_kpi.packs.llm.calls import Call, ended
from otel_kpi.packs.llm.prices import Pending, Price, Unpriced
from otel_kpi.packs.llm.prices.book import CURRENT, Prices
from otel_kpi.packs.llm.prices.table import NAME, UnreadableTableError, data_folder, load, parse
from otel_kpi.packs.llm.usage import Usage
from otel_kpi.reference.prices import TABLE, compiled, header_of, version_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.measured import Measured

REPOSITORY = Path(__file__).parents[4]
USAGE = Usage({"input_tokens": 1_200, "cache_read_tokens": 1_000, "output_tokens": 300})
OPENAI: dict[str, Any] = {"provider": "openai", "endpoint": "https://api.openai.com/v1", "model": "gpt-4o"}
CALL: dict[str, Any] = {
    **OPENAI,
    "usage": USAGE,
    "tier": None,
    "processing": None,
    "at": None,
    "seconds": None,
}


def test_the_table_is_what_the_installed_data_compile_to() -> None:
    written = (REPOSITORY / TABLE).read_text(encoding="utf-8")
    assert compiled(written) == written
    assert len(written.encode()) < 250_000


def test_a_new_version_has_the_newest_day_that_its_data_name_and_that_is_not_to_come() -> None:
    assert header_of(compiled(today=date(2026, 11, 10)))["date"] == "2026-11-09"
    assert header_of(compiled(today=date(2025, 6, 10)))["date"] == "2025-06-10"


def test_versions_are_compared_by_their_numbers() -> None:
    assert version_key("0.10.0") > version_key("0.9.12")
    assert header_of("no table") == {}


@pytest.mark.parametrize(
    ("endpoint", "model"),
    [
        ("https://openrouter.ai/api/v1", "openai/gpt-4o"),
        ("https://api.openai.com/v1", "gpt-4o"),
        ("https://acme.openai.azure.com", "gpt-4o"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "amazon.nova-pro-v1:0"),
    ],
)
def test_the_first_call_does_not_wait(tmp_path: Path, endpoint: str, model: str) -> None:
    """5 ms is what a call may wait, and three times that on a machine that does other things."""
    took: list[float] = []
    for _ in range(3):
        fresh = Prices(folder=tmp_path)
        start = time.thread_time()
        answer = fresh.price(None, endpoint, model, USAGE, None, None, None, None)
        took.append(time.thread_time() - start)
        assert isinstance(answer, Price)
    assert min(took) < 0.015 * slowdown()


def test_a_newer_table_in_the_data_folder_is_used_and_an_older_one_is_not(tmp_path: Path) -> None:
    shipped = (REPOSITORY / TABLE).read_text(encoding="utf-8")
    newer = shipped.replace('"0.2.3"', '"0.9.0"', 1).replace('"2026-11-09"', '"2027-01-01"', 1)
    for text, version in ((newer, "0.9.0"), (shipped.replace("2026-11-09", "2026-01-01", 1), "0.2.3")):
        (tmp_path / NAME).write_text(text, encoding="utf-8")
        table, unused = load(tmp_path)
        assert (table.version, unused) == (version, None)
        answer = Prices(folder=tmp_path).price(**CALL)
        assert isinstance(answer, Price)
        assert answer.version.startswith(f"genai-prices {version} 202")


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", '{"format": 2, "providers": []}', '{"format": 1, "providers": [[]]}\n[]', "\0" * 9],
)
def test_a_broken_table_in_the_data_folder_is_a_line_and_the_wheels_is_used(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / NAME).write_text(text, encoding="utf-8")
    table, unused = load(tmp_path)
    assert table.version == "0.2.3"
    assert unused is not None
    assert unused.endswith("write it again with: otel-kpi prices update")
    with pytest.raises(UnreadableTableError):
        parse(text.encode())


def test_the_data_folder_is_where_the_system_has_it() -> None:
    assert data_folder({"XDG_DATA_HOME": "/data"}) == Path("/data/otel-kpi")
    assert data_folder({}) == Path.home() / ".local/share/otel-kpi"


def test_arithmetic_is_not_that_of_the_application() -> None:
    prices.price(**OPENAI, usage=USAGE)
    with decimal.localcontext(decimal.Context(prec=2, traps=[decimal.Inexact])):
        answer = prices.price(**OPENAI, usage=USAGE)
        assert isinstance(answer, Price)
        assert answer.amount == Decimal("0.00475")


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_kpi.packs.llm.prices.book._MOST", 50)
    fresh = Prices()
    for number in range(200):
        fresh.price("openai", None, f"model-{number}", USAGE, None, None, None, None)
    assert len(fresh.known) <= 50


def test_strange_arguments_are_unpriced(caplog: pytest.LogCaptureFixture) -> None:
    strange: Any
    for strange in (7, [], b"x", object()):
        for name in ("provider", "endpoint", "model", "tier", "usage"):
            call: dict[str, Any] = {**OPENAI, "usage": USAGE, "tier": None, name: strange}
            answer = prices.price(**call)
            assert isinstance(answer, (Unpriced, Price))
    assert len(caplog.messages) <= 4


def test_many_threads_begin_at_once() -> None:
    fresh = Prices()
    answers: list[Price | Unpriced] = []
    together = threading.Barrier(8)

    def begin() -> None:
        together.wait()
        answers.append(fresh.price(**CALL))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.amount for each in answers if isinstance(each, Price)] == [Decimal("0.00475")] * 8


class Held:
    """A pipe as price file: it is read when somebody writes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "prices.yaml"
        os.mkfifo(self.path)
        self.prices = Prices(str(self.path), folder=folder)

    def release(self, *, reader: bool = True) -> None:
        """Give the file to who reads it; without a `reader` for certain, to nobody when nobody does."""
        try:
            pipe = os.open(self.path, os.O_WRONLY | (0 if reader else os.O_NONBLOCK))
        except OSError as refused:
            if refused.errno != errno.ENXIO:
                raise
            return
        with os.fdopen(pipe, "w", encoding="utf-8") as file:
            file.write("currency: EUR\nprices:\n  - {provider: openai, rates: {call: 3}}\n")


def test_a_call_that_comes_before_the_file_is_read_is_priced_when_it_is(tmp_path: Path) -> None:
    held = Held(tmp_path)
    start = time.thread_time()
    answer = held.prices.price(**CALL)
    assert time.thread_time() - start < 0.015 * slowdown()
    assert isinstance(answer, Pending)
    assert answer.reason == "no_table"
    came = threading.Event()
    answers: list[Price | Unpriced] = []

    def take(price: Price | Unpriced) -> None:
        answers.append(price)
        came.set()

    answer.then(lambda _: 1 / 0)  # somebody else's callback fails
    answer.then(take)
    assert not came.is_set()
    held.release()
    assert came.wait(20)
    assert [each.amount for each in answers if isinstance(each, Price)] == [3]
    answer.then(take)
    assert len(answers) == 2
    now = held.prices.price(**CALL)
    assert isinstance(now, Price)
    assert now.currency == "EUR"


def test_a_forked_child_reads_the_file_itself(tmp_path: Path) -> None:
    held = Held(tmp_path)
    CURRENT.prices = held.prices
    assert isinstance(held.prices.price(**CALL), Pending)
    child = os.fork()
    if child == 0:
        try:
            answer = held.prices.price(**CALL)
            other = [answer]
            came = threading.Event()

            def take(price: Price | Unpriced) -> None:
                other.append(price)
                came.set()

            if isinstance(answer, Pending):
                answer.then(take)
                came.wait(20)
            os._exit(0 if isinstance(other[-1], Price) else 1)
        finally:
            os._exit(2)
    # A writer serves whoever reads; there are two readers now.
    status: list[int] = []
    waiting = threading.Thread(target=lambda: status.append(os.waitpid(child, 0)[1]))
    waiting.start()
    while waiting.is_alive():
        held.release(reader=False)
        waiting.join(0.05)
    assert status == [0]


def test_a_long_file_is_read_by_nobody_who_waits(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    rules = [{"model": f"m{number}", "currency": "EUR", "rates": {"call": number}} for number in range(2_000)]
    file.write_text(json.dumps({"prices": rules}), encoding="utf-8")
    fresh = Prices(str(file), folder=tmp_path)
    start = time.thread_time()
    answer = fresh.price("openai", None, "m1999", USAGE, None, None, None, None)
    assert time.thread_time() - start < 0.015 * slowdown()
    assert isinstance(answer, Pending)
    came = threading.Event()
    answers: list[Price | Unpriced] = []
    answer.then(lambda price: (answers.append(price), came.set()))
    assert came.wait(20)
    assert [each.amount for each in answers if isinstance(each, Price)] == [1999]


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    held = Held(tmp_path)
    refused: list[Price | Unpriced] = []
    taken: list[Price | Unpriced] = []
    for _ in range(10_000):
        pending = held.prices.price(**CALL)
        assert isinstance(pending, Pending)
        pending.then(taken.append)
    last = held.prices.price(**CALL)
    assert isinstance(last, Pending)
    last.then(refused.append)
    assert [each.reason for each in refused if isinstance(each, Unpriced)] == ["no_table"]
    held.release()
    reader = held.prices._reader
    assert reader is not None
    reader.join(20)
    assert len(taken) == 10_000
    assert all(isinstance(each, Price) for each in taken)


def test_preparing_reads_the_table_before_the_first_call(tmp_path: Path) -> None:
    fresh = Prices(folder=tmp_path)
    fresh.prepare()
    assert fresh._book is not None
    prices.prepare()


def test_without_a_table_nothing_has_a_price(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_folder: object) -> Callable[[], None]:
        raise UnreadableTableError("nothing there")

    monkeypatch.setattr("otel_kpi.packs.llm.prices.book.load", broken)
    fresh = Prices()
    answers = [fresh.price(**CALL) for _ in range(3)]
    assert [each.reason for each in answers if isinstance(each, Unpriced)] == ["no_table"] * 3
    assert len(caplog.messages) == 1


def test_the_cost_of_a_call_before_the_file_is_read_is_recorded_later(
    tmp_path: Path, series: Measured
) -> None:
    held = Held(tmp_path)
    CURRENT.prices = held.prices
    call = Call(
        provider="openai",
        endpoint="https://api.openai.com/v1",
        request_model="gpt-4o",
        counts={"input_tokens": 10, "output_tokens": 10},
    )
    assert ended(call) == {"kpi.llm.unpriced.reason": "no_table"}
    held.release()
    reader = held.prices._reader
    assert reader is not None
    reader.join(20)
    assert [point.value for point in series.points("kpi_llm_cost_total").values()] == [3]
    assert series.points("kpi_llm_unpriced_total") == {}
