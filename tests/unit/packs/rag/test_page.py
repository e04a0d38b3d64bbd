"""The examples of docs/rag.md and docs/coaching.md do what their pages say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.measured import Measured

DOCS = Path(__file__).parents[4] / "docs"


def run(page: str, title: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run an example, and compare with what the page says that it prints."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(rf'```python title="{re.escape(title)}"\n(.*?)```', text, re.DOTALL)
    printed = re.search(rf"\$ otel-kpi run python {re.escape(title)}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    assert printed is not None
    exec(compile(found[1], title, "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == printed[1]


def test_questions_of_the_page_are_answered_and_counted(
    series: Measured, capsys: pytest.CaptureFixture[str]
) -> None:
    run("rag.md", "faq.py", capsys)
    assert series.value("kpi_rag_queries_total", kpi_rag_name="faq", kpi_rag_outcome="success") == 1
    assert series.value("kpi_rag_hits", kpi_rag_source="plans") == (1, 2)
    assert series.value("kpi_rag_documents_total", kpi_rag_source="plans", kpi_rag_stage="retrieval") == 2


def test_sessions_of_the_page_are_counted(series: Measured, capsys: pytest.CaptureFixture[str]) -> None:
    run("coaching.md", "coach.py", capsys)
    assert series.value("coaching_sessions_total", kind="web_user") == 1
    assert series.value("coaching_session_duration_seconds", kind="web_user") == (1, 182.5)
    assert series.value("coaching_sessions_total", kind="api") == 1
    assert series.value("coaching_plan_generation_duration_seconds", kind="running", status="success")[0] == 1


@pytest.mark.parametrize("page", ["rag.md", "coaching.md"])
def test_page_names_every_series_of_its_pack(page: str) -> None:
    from otel_kpi.packs import own_packs

    (pack,) = [each for each in own_packs() if each.name == page.removesuffix(".md")]
    text = (DOCS / page).read_text(encoding="utf-8")
    assert [each.series_name for each in pack.instruments if f"`{each.series_name}`" not in text] == []
