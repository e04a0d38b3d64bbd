"""Whether content may be written down, and where: one setting, whoever asks it, however it was given."""

from __future__ import annotations

import subprocess
import sys
import uuid

import pytest
from support.children import environment

from otel_kpi.packs import consent


@pytest.mark.parametrize(
    ("value", "on_spans", "in_events"),
    [
        (None, False, False),
        ("", False, False),
        ("false", False, False),
        ("NO_CONTENT", False, False),
        ("anything", False, False),
        ("SPAN_ONLY", True, False),
        (" event_only ", False, True),
        ("SPAN_AND_EVENT", True, True),
        ("True", True, True),
    ],
)
def test_packs_ask_the_setting(
    monkeypatch: pytest.MonkeyPatch,
    value: str | None,
    on_spans: bool,  # noqa: FBT001 - cases
    in_events: bool,  # noqa: FBT001 - the same
) -> None:
    monkeypatch.delenv(consent.VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(consent.VARIABLE, value)
    assert (consent.on_spans(), consent.on_events()) == (on_spans, in_events)


PROGRAM = """
import os, sys
import otel_kpi
otel_kpi.configure("{name}", genai_content="{given}", exporters="none", genai_content_store={store!r})
from otel_kpi.packs import consent
from opentelemetry.util.genai.utils import get_content_capturing_mode
print(get_content_capturing_mode().name, consent.on_spans(), consent.on_events())
"""


@pytest.mark.parametrize(
    ("given", "printed"), [("true", "SPAN_AND_EVENT True True"), ("span_only", "SPAN_ONLY True False")]
)
def test_what_code_says_is_what_opentelemetrys_instrumentors_and_packs_read(given: str, printed: str) -> None:
    program = PROGRAM.format(name=f"content-{uuid.uuid4().hex[:8]}", given=given, store=None)
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=False
    )
    assert (ended.stdout.strip(), ended.stderr) == (printed, "")


def test_store_without_consent_keeps_nothing_and_says_so() -> None:
    program = PROGRAM.format(name=f"content-{uuid.uuid4().hex[:8]}", given="false", store="prompts")
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=False
    )
    assert ended.stdout.strip() == "NO_CONTENT False False"
    assert "keeps nothing" in ended.stderr
