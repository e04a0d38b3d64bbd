"""`otel-kpi cost --store` says of the embedded store what it would say of Prometheus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.dev.asked import call, filled, spans
from support.dev.made import START_NS

from otel_kpi.cli import main

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
TIME = ("--since", "2026-11-21T08:00", "--until", "2026-11-21T09:00")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spent") / "dev.db"
    cached: dict[str, Any] = {
        "gen_ai__usage__cache_read__input_tokens": 30,
        "gen_ai__usage__reasoning__output_tokens": 4,
    }
    sent = [
        call(cost=0.1, kpi__tenant="acme", kpi__feature="summary", start_ns=START_NS, **cached),
        call(cost=0.2, kpi__tenant="acme", start_ns=START_NS + SECOND),
        call("mistral", cost=1.0, currency="EUR", kpi__tenant="globex", start_ns=START_NS + SECOND),
        call("house", cost=None, kpi__llm__unpriced__reason="unknown_model", start_ns=START_NS + SECOND),
        call(cost=None, status=2, start_ns=START_NS + SECOND),
        call(cost=5.0, start_ns=START_NS - 1_800 * SECOND),
    ]
    # It was asked before nine and answered after: it is spent when it is answered.
    late = call(cost=9.0, start_ns=START_NS + 3_599 * SECOND, duration_ns=2 * SECOND)
    with filled(
        path,
        [
            spans(*sent, late),
            spans(
                call(cost=0.5, start_ns=START_NS), service="other", **{"deployment.environment.name": "prod"}
            ),
        ],
    ):
        pass
    return path


def asked(store: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["cost", "--store", str(store), "--json", *TIME, *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_sums_are_exact_and_by_currency(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(store, capsys)
    assert found["total"]["now"]["cost"] == {"EUR": "1.000000000", "USD": "0.800000000"}
    assert found["total"]["before"]["cost"] == {"USD": "5.000000000"}
    assert found["total"]["now"]["calls"] == 6
    assert found["total"]["now"]["unpriced"] == {"unknown_model": 1}


def test_each_token_is_under_one_heading(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = asked(store, capsys, "--feature", "summary")["rows"]
    assert row["now"]["tokens"] == {"cache_read": 30, "input": 70, "output": 6, "reasoning": 4}


def test_lines_are_by_what_is_asked_for(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = asked(store, capsys, "--by", "tenant,environment,app", "--model", "gpt-4o")["rows"]
    assert [(row["tenant"], row["environment"], row["app"], row["now"]["calls"]) for row in rows] == [
        ("-", "prod", "other", 1), ("acme", "dev", "shop", 2), ("-", "dev", "shop", 1),
    ]  # fmt: skip


def test_what_is_not_in_the_store_is_not_known(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--store", str(store), *TIME, "--currency", "EUR"]) == 0
    said = capsys.readouterr().out
    assert "There is no rate for USD: these amounts stay as they are." in said
    assert "Today's pace and the end of the month are not known" in said


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "is not there"), (b"no database at all", "is no file of otel-kpi's")]
)
def test_a_file_that_is_no_store_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, reason: str
) -> None:
    path = tmp_path / "other.db"
    if content is not None:
        path.write_bytes(content)
    assert main(["cost", "--store", str(path)]) == 1
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)
    assert reason in errors
    assert "Traceback" not in errors


def test_one_place_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["cost", "--store", "a", "--prometheus", "b"])
    assert "not allowed with" in capsys.readouterr().err
