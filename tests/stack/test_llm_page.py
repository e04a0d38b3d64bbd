"""What docs/llm.md shows is what comes out: its commands against two days in a real Prometheus, its examples in a process."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
import urllib.parse
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import two_days
from support.children import BIN, RUN, environment, free_port, run
from support.llm import ScriptedProvider
from support.receiver import Receiver

from otel_kpi.packs.llm import instruments
from otel_kpi.stack import build, ports
from otel_kpi.stack.directories import Cache
from otel_kpi.stack.modules import MODULES
from otel_kpi.stack.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "llm.md").read_text(encoding="utf-8")
CONSOLE = [block.splitlines() for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)]
COSTS = [lines for lines in CONSOLE if lines[0].startswith("$ otel-kpi cost ")]
YESTERDAY, BEFORE, TODAY = "2026-11-20", "2026-11-19", "2026-11-21"
"""The days of the page."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A Prometheus that remembers the two days."""
    folder = tmp_path_factory.mktemp("two-days")
    cache, quiet = Cache.from_environment(), Progress(io.StringIO())
    executable = build.executables([MODULES["prometheus"]], cache, quiet)["prometheus"]
    two_days.write(executable.with_name("promtool"), folder)
    (folder / "prometheus.yml").write_text("{}")
    with _serving(executable, folder) as url:
        yield url


@contextmanager
def _serving(executable: Path, folder: Path) -> Generator[str]:
    port = free_port()
    command = [
        str(executable),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        "--storage.tsdb.retention.time=30d",
        f"--web.listen-address={ports.HOST}:{port}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        try:
            yield f"http://{ports.HOST}:{port}"
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def ready(prometheus: str, eventually: Callable[..., None]) -> str:
    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{prometheus}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    eventually(answers)
    return prometheus


def _of_today(text: str) -> str:
    """A text of the page with the days of the test in place of its own."""
    today = datetime.now(UTC).date()
    for written, days in ((TODAY, 0), (YESTERDAY, 1), (BEFORE, 2)):
        text = text.replace(written, str(today - timedelta(days=days)))
    return text


@pytest.mark.parametrize("lines", COSTS, ids=lambda lines: lines[0].removeprefix("$ otel-kpi "))
def test_the_command_prints_what_the_page_shows(ready: str, lines: list[str]) -> None:
    command = [str(BIN / "otel-kpi"), *shlex.split(_of_today(lines[0]))[2:], "--prometheus", ready]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    # The last paragraph is of today, and comes from rules that this Prometheus does not have.
    said, _, last = ended.stdout.rstrip().rpartition("\n\n")
    assert last.startswith("Today")
    assert said.rstrip() == _of_today("\n".join(lines[1:])).rstrip()


def test_the_page_answers_in_three_commands() -> None:
    assert len(COSTS) == 3


def test_the_query_of_the_page_shows_when_the_cache_was_lost(ready: str) -> None:
    (query,) = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)

    def classes(moment: datetime) -> dict[str, float]:
        text = urllib.parse.urlencode({"query": query.strip(), "time": moment.timestamp()})
        with urllib.request.urlopen(f"{ready}/api/v1/query?{text}", timeout=10) as answer:
            found: Any = json.load(answer)["data"]["result"]
        return {each["metric"]["kpi_llm_token_class"]: float(each["value"][1]) for each in found}

    before, after = classes(midnight), classes(midnight + timedelta(hours=2))
    assert (before["cache_write"], after["cache_read"]) == (0, 0)
    assert before["cache_read"] == pytest.approx(after["cache_write"])
    assert before["input"] == pytest.approx(after["input"])


def test_the_price_that_the_page_asks_for_is_explained() -> None:
    (lines,) = [each for each in CONSOLE if each[0].startswith("$ otel-kpi prices show")]
    command = [str(BIN / "otel-kpi"), *shlex.split(lines[0])[2:]]
    assert "0.0014442 USD" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_examples_of_the_page_run_and_say_what_it_says(tmp_path: Path) -> None:
    first, by_hand = re.findall(r"```python [^\n]*\n(.*?)```", PAGE, re.DOTALL)
    program = tmp_path / "shop.py"
    program.write_text(f"{first}\n\nprint(summarise('a long text', 'acme', 'ada'))\n{by_hand}")
    with Receiver() as receiver, ScriptedProvider() as provider:
        env = environment(
            receiver.url,
            OTEL_SERVICE_NAME="llm-page",
            OPENAI_API_KEY="sk-test",
            OPENAI_BASE_URL=f"{provider.url}/v1",
            OTEL_KPI_GENAI_PROVIDERS=f"127.0.0.1:{provider.port}=openai",
        )
        ended = run([*RUN, sys.executable, str(program)], env)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == "Hello there, friend.\n"
    calls = [span for span in receiver.spans if span.item.name == "chat gpt-4o-mini"]
    (attributes,) = [span.attributes for span in calls]
    assert (attributes["kpi.tenant"], attributes["kpi.feature"]) == ("acme", "summary")
    assert attributes["gen_ai.usage.cost.amount"] == pytest.approx(10 * 0.15e-6 + 5 * 0.6e-6)
    assert attributes["user.hash"] != "ada"
    assert "a long text" not in str([span.attributes for span in receiver.spans])
    kinds = {
        point.attributes["kpi.llm.cost.kind"]: point.item.as_double
        for point in receiver.points
        if point.metric == "kpi.llm.cost"
    }
    assert kinds["web_search"] == 0.004
    reasons = [p.attributes["kpi.llm.reason"] for p in receiver.points if p.metric == "kpi.llm.unpriced"]
    assert set(reasons) == {"unknown_provider"}  # a model of one's own has a price file


def test_every_series_that_the_page_names_is_there() -> None:
    known = {each.series_name for each in instruments.PACK.instruments}
    own = set(
        re.findall(r"`((?:kpi_llm|openai|gen_ai_client)_[a-z_]+)`", PAGE.partition("## What is recorded")[2])
    )
    own = {name for name in own if not name.endswith("_")}
    others = {"kpi_llm_token_class", "gen_ai_client_operation_time_to_first_chunk_seconds"}
    assert own - others - known == set()
