"""A scripted provider for each test, taken for OpenAI, and what was recorded of its calls."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from openai import OpenAI
from support.llm import ScriptedProvider
from support.llm.told import Told
from support.measured import Measured, measured

from otel_kpi import instrumentation
from otel_kpi.instrumentation.llm import stream_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured


@dataclass
class Followed:
    """What was said of the calls of a test.

    Attributes:
        captured: Spans, and upstream's metrics.
        series: Our own metrics.
    """

    captured: Captured
    series: Measured

    def spans(self) -> list[ReadableSpan]:
        """The spans of calls of models, in the order of their ends."""
        return [span for span in self.captured.spans() if "gen_ai.operation.name" in (span.attributes or {})]

    def wait_for_a_span(self, timeout: float = 10.0) -> None:
        """Return when there is one: what the garbage collector ends, it ends in another thread."""
        deadline = time.monotonic() + timeout
        while not self.spans() and time.monotonic() < deadline:
            time.sleep(0.005)  # the exporter in memory has nothing to wait on

    def span(self) -> ReadableSpan:
        [span] = self.spans()
        return span

    def attributes(self) -> dict[str, Any]:
        """Those of the only call."""
        return dict(self.span().attributes or {})

    def counted(self, name: str, label: str) -> dict[str, Any]:
        """The values of a series by one of its labels, added up over the others."""
        found: dict[str, Any] = {}
        for labels, point in self.series.points(name).items():
            key = dict(labels)[label]
            found[key] = found.get(key, 0) + (point.value if hasattr(point, "value") else point.sum)
        return found

    def tokens(self) -> dict[str, int]:
        """Tokens by class."""
        return self.counted("kpi_llm_tokens_total", "kpi_llm_token_class")

    def abandoned(self) -> dict[str, int]:
        """Streams by the reason for which they were not read to their end."""
        return self.counted("kpi_llm_streams_abandoned_total", "kpi_llm_reason")


@pytest.fixture(scope="module")
def armed(_pipeline: Captured) -> Iterator[Captured]:
    """The pipeline, with every instrumentor of the table armed once for all tests of a module."""
    instrumentation.install()
    try:
        yield _pipeline
    finally:
        instrumentation.uninstall()


@pytest.fixture
def followed(armed: Captured) -> Iterator[Followed]:
    armed.span_exporter.clear()
    armed.log_exporter.clear()
    with measured() as series:
        yield Followed(armed, series)


@pytest.fixture
def told(armed: Captured) -> Iterator[Told]:
    """What was recorded, for the modules that take the provider for somebody else."""
    armed.span_exporter.clear()
    with measured() as found:
        yield Told(armed, found)


@pytest.fixture
def scripted(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedProvider]:
    del followed
    stream_usage.forget_refusals()
    with ScriptedProvider() as provider:
        monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{provider.port}=openai")
        yield provider


@pytest.fixture
def openai_client(scripted: ScriptedProvider) -> Iterator[OpenAI]:
    with OpenAI(api_key="none", base_url=f"{scripted.url}/v1", max_retries=0) as client:
        yield client
