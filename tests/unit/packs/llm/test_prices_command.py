"""`otel-kpi prices`: a price is explained, a file checked, a newer table compiled."""

from __future__ import annotations

import builtins
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import genai_prices
import pytest
from support.children import free_port

from otel_kpi.cli import main
from otel_kpi.cli.generate import _table
from otel_kpi.cli.pricing.inspection import _LABELS, _UNPRICED
from otel_kpi.model import label_name, series_name
from otel_kpi.packs.llm import prices
from otel_kpi.packs.llm.instruments import UNPRICED
from otel_kpi.packs.llm.prices import amounts
from otel_kpi.packs.llm.prices.remedies import REMEDIES
from otel_kpi.reference.prices import TABLE, header_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in (prices.FILE, prices.CURRENCY, prices.RATES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def command(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(["prices", *arguments])
        except SystemExit as ended:
            status = int(str(ended.code))
        output, errors = capsys.readouterr()
        return status, output, errors

    return command


def test_a_price_is_explained_step_by_step(run: Callable[..., tuple[int, str, str]]) -> None:
    status, output, errors = run(
        "show",
        "claude-sonnet-4-5-20250929",
        *("--endpoint", "https://api.anthropic.com"),
        *("--usage", "input=250000,cache_read=100000,output=1000,web_searches=2"),
        *("--processing", "batch", "--at", "2026-11-21"),
    )
    assert (status, errors) == (0, "")
    for words in (
        "table:    genai-prices 0.2.3 2026-11-09, in USD",
        "provider: anthropic, by the address https://api.anthropic.com",
        "model: claude-sonnet-4-5 of anthropic",
        "rates: those for processing=batch, since 2026-10-14",
        "3 of prompts with more than 200000 input tokens",
        "source:   https://www.anthropic.com/pricing#api",
    ):
        assert words in output
    squeezed = [" ".join(line.split()) for line in output.splitlines()]
    assert "150000 input_tokens × 3 / M = 0.45" in squeezed
    assert "100000 cache_read_tokens × 0.3 / M = 0.03" in squeezed
    assert "1000 output_tokens × 11.25 / M = 0.01125" in squeezed
    assert "2 web_searches × 10 / k = 0.02" in squeezed
    assert "total = 0.51125 USD" in squeezed


def test_a_price_in_json_has_exact_amounts(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(prices.CURRENCY, "EUR")
    monkeypatch.setenv(prices.RATES, "USD:EUR=0.92@2026-11-01")
    call = (
        "show",
        "gpt-4o",
        "--provider",
        "openai",
        "--usage",
        "input=1200,cache_read=1000,output=300",
        "--json",
    )
    status, output, _ = run(*call, "--at", "2026-11-21T10:00")
    found = json.loads(output)
    assert status == 0
    assert (found["native_amount"], found["native_currency"]) == ("0.00475000", "USD")
    assert (float(found["amount"]), found["currency"]) == (pytest.approx(0.00437), "EUR")
    assert found["exchange"] == "1 USD = 0.92 EUR since 2026-11-01"
    assert found["rates"][0] == {"unit": "input_tokens", "rate": "2.5", "per": 1_000_000, "above": {}}
    assert [line["unit"] for line in found["lines"]] == ["input_tokens", "cache_read_tokens", "output_tokens"]


def test_rates_are_shown_without_a_usage(run: Callable[..., tuple[int, str, str]]) -> None:
    status, output, _ = run("show", "deepseek-chat", "--provider", "deepseek", "--at", "2026-11-21T20:00")
    assert status == 0
    assert "rates: those without a condition" in output
    assert "arithmetic" not in output
    status, output, _ = run("show", "whisper-large-v3", "--provider", "groq", "--usage", "audio_seconds=2.5")
    assert status == 0
    assert "10 input_audio_seconds" in output


def test_the_users_file_is_explained_too(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(
        "prices:\n  - {endpoint: 'gpu-7:8000', currency: EUR, from: 2026-01-01, rates: {second: 0.5, call: 1}}\n"
    )
    monkeypatch.setenv(prices.FILE, str(file))
    status, output, _ = run(
        "show", "llama", "--endpoint", "http://gpu-7:8000/v1", "--seconds", "2", "--usage", "input=5"
    )
    assert status == 0
    assert "rule: prices.yaml: prices[0] is for this call, since 2026-01-01" in output
    assert "= 2 EUR" in output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("gpt-4o", "--endpoint", "http://localhost:8000"), "unknown_provider"),
        (("gpt-99", "--provider", "openai"), "unknown_model"),
        (("gpt-4o", "--provider", "openai", "--tier", "flex"), "unknown_tier"),
    ],
)
def test_what_has_no_price_says_why_and_what_to_do(
    run: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], reason: str
) -> None:
    status, output, _ = run("show", *arguments, "--usage", "input=5")
    assert status == 1
    assert f"no price: {reason}" in output
    assert REMEDIES[reason] in output
    assert json.loads(run("show", *arguments, "--usage", "input=5", "--json")[1])["unpriced"] == reason


def test_every_reason_has_a_remedy() -> None:
    reasons = {value for name, value in vars(amounts).items() if name.isupper() and isinstance(value, str)}
    assert reasons == set(REMEDIES)


def test_a_question_that_is_none_is_a_line(run: Callable[..., tuple[int, str, str]]) -> None:
    for arguments, line in (
        (("--usage", "cached=3"), "there is no unit 'cached'; near are"),
        (("--usage", "input=many"), "'input=many' is no unit=count"),
        (("--at", "yesterday"), "'yesterday' is no time; write 2026-11-01"),
    ):
        status, _, errors = run("show", "gpt-4o", "--provider", "openai", *arguments)
        assert status == 2
        assert line in errors


def test_a_file_is_checked(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("currency: EUR\nprices:\n  - {model: m, rates: {call: 1}}\n  - {model: m, rate: 1}\n")
    status, output, _ = run("check", str(file), "--prometheus", "none")
    assert status == 1
    assert output.splitlines() == [
        "prices.yaml: prices[1]: the entry: there is no 'rate'; did you mean rates?; this entry is not used",
        f"{file}: 1 rules can be used, 1 faults",
    ]
    file.write_text("currency: EUR\nprices:\n  - {model: m, rates: {call: 1}}\n")
    assert run("check", str(file), "--prometheus", "none")[0] == 0


def test_the_labels_that_are_asked_for_are_those_of_the_series() -> None:
    names = {label_name(attribute.name) for attribute in UNPRICED.attributes}
    assert names.issuperset(_LABELS)
    assert series_name(UNPRICED.name, UNPRICED.unit, "counter") == _UNPRICED


@contextmanager
def prometheus(series: dict[tuple[str, str, str, str], int]) -> Generator[str]:
    """Answers each question with these series, as Prometheus answers ours."""
    result: list[dict[str, Any]] = [
        {
            "metric": {
                "gen_ai_provider_name": provider,
                "gen_ai_request_model": asked,
                "gen_ai_response_model": answered,
                "kpi_llm_reason": why,
                "instance": instance,
                "otel_kpi_part": part,
            },
            "value": [1, str(value)],
        }
        for (provider, asked, answered, why), calls in series.items()
        for instance in ("a", "b")
        for part, value in (("last", calls + 5), ("before", 5), ("least", 5))
    ]
    body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the name that it has

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_models_seen_lately_without_a_price_are_named_with_a_remedy(
    run: Callable[..., tuple[int, str, str]],
) -> None:
    seen = {
        ("openai", "gpt-99", "gpt-99-2027", "unknown_model"): 3,
        ("vllm", "llama-4", "", "unknown_provider"): 40,
        ("openai", "gpt-4o", "", "no_usage"): 0,
    }
    with prometheus(seen) as address:
        status, output, _ = run("check", "--prometheus", address, "--since", "7d")
    assert status == 1
    lines = [line.split() for line in output.splitlines()]
    assert lines[2][:4] == ["calls", "without", "a", "price"]
    assert lines[3] == ["80", "vllm", "llama-4", "unknown_provider"]
    assert lines[5] == ["6", "openai", "gpt-99", "→", "gpt-99-2027", "unknown_model"]
    assert len(lines) == 7
    with prometheus({}) as address:
        status, output, _ = run("check", "--prometheus", address)
    assert (status, "no call without a price since 24h" in output) == (0, True)


def test_a_prometheus_that_does_not_answer_is_said(run: Callable[..., tuple[int, str, str]]) -> None:
    status, _, errors = run("check", "--prometheus", f"http://127.0.0.1:{free_port()}")
    assert status == 2
    assert "which models have no price is not known: no Prometheus answers at" in errors
    assert run("check", "--since", "soon")[0] == 2


def test_update_has_nothing_to_do_when_the_data_are_not_newer(
    run: Callable[..., tuple[int, str, str]],
) -> None:
    status, output, _ = run("update")
    assert (status, "genai-prices 0.2.3 is not newer" in output) == (0, True)


def test_update_compiles_what_is_newer_and_it_is_used(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(genai_prices, "__version__", "0.3.0")
    # The newest day of these data is that of the wheel's: a newer version of the same day is used as well.
    status, output, _ = run("update")
    written = tmp_path / "data/otel-kpi/table.jsonl"
    assert (status, output.startswith(f"{written}: genai-prices 0.3.0 202")) == (0, True)
    assert header_of(written.read_text())["version"] == "0.3.0"
    assert "table:    genai-prices 0.3.0 2026" in run("show", "gpt-4o", "--provider", "openai")[1]
    assert "0.3.0 is not newer" in run("update")[1]


def without_genai_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    there = builtins.__import__

    def missing(name: str, *arguments: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "genai_prices":
            raise ImportError(name)
        return there(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", missing)


def test_update_says_what_to_type_without_genai_prices(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_genai_prices(monkeypatch)
    status, _, errors = run("update")
    assert status == 2
    assert "pip install --upgrade genai-prices; otel-kpi prices update" in errors


def test_generate_sees_a_stale_table_and_leaves_it_without_genai_prices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = (REPOSITORY / TABLE).read_text(encoding="utf-8")
    table = tmp_path / "table.jsonl"
    table.write_text(written.replace('"0.2.3"', '"0.1.0"', 1), encoding="utf-8")
    assert _table(table, check=False) == 0
    assert header_of(table.read_text())["version"] == "0.2.3"
    assert _table(table, check=True) == 0
    table.write_text(written.replace("gpt-4o", "gpt-4p", 1), encoding="utf-8")
    capsys.readouterr()
    assert _table(table, check=True) == 1
    assert f"{table} is not what genai-prices 0.2.3 says; run: otel-kpi generate" in capsys.readouterr().err
    newer = written.replace('"0.2.3"', '"9.0"', 1)
    table.write_text(newer, encoding="utf-8")
    assert _table(table, check=False) == 0
    assert "genai-prices 0.2.3 is older than its data" in capsys.readouterr().err
    without_genai_prices(monkeypatch)
    assert _table(table, check=True) == 0
    assert "stays as it is: genai-prices is not installed" in capsys.readouterr().err
    assert table.read_text(encoding="utf-8") == newer


def test_generate_writes_the_table_beside_the_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.jsonl"
    command = ["generate", "--output", str(tmp_path / "reference"), "--prices", str(table)]
    assert main([*command, "--check"]) == 1
    assert f"{table} is not what genai-prices 0.2.3 says" in capsys.readouterr().err


PAGE = (REPOSITORY / "docs/prices.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [0, 1])
def test_the_files_on_the_page_have_no_fault(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, number: int
) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 2
    file = tmp_path / "prices.yaml"
    file.write_text(examples[number], encoding="utf-8")
    status, output, _ = run("check", str(file), "--prometheus", "none")
    assert (status, output) == (0, f"{file}: {examples[number].count('  - ')} rules can be used, 0 faults\n")


def test_the_command_on_the_page_says_what_is_there(run: Callable[..., tuple[int, str, str]]) -> None:
    block = re.search(r"\$ otel-kpi prices (show .*?)\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    command, shown = block.groups()
    status, output, _ = run(*command.split())
    assert status == 0
    said = output.splitlines()
    assert [line for line in shown.splitlines() if line not in said] == ["  …"]


def test_every_reason_is_on_the_page() -> None:
    for reason in REMEDIES:
        assert f"`{reason}`" in PAGE


def test_the_code_on_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example, code = (re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("yaml", "python"))
    assert example is not None
    assert code is not None
    (tmp_path / "prices.yaml").write_text(example.group(1), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(code.group(1), "prices.md", "exec"), {})
    assert capsys.readouterr().out.startswith("0.0043700000 EUR genai-prices 0.2.3 2026-11-09 (Line(unit=")
