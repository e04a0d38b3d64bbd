"""A pattern of the user's never holds up a process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from otel_kpi.redaction import Policy, redact_text, use
from otel_kpi.redaction.patterns import Pattern

if TYPE_CHECKING:
    import logging

# Each of them takes longer than anyone lives on a text of a hundred characters, or minutes on one of a few thousand.
CATASTROPHIC = [
    r"(a+)+$",
    r"(a*)*b",
    r"(a|a)*$",
    r"(a|aa)+$",
    r"([a-zA-Z]+)*\d",
    r"^(\w+\s?)*$",
    r"(x+x+)+y",
    r"(.*)*,",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"\s*(\s+\s+)+!",
    r"prefix: (?:\d+)+-end",
    r"([0-9a-f]{2,})+Z",
    r"(?:[^\"\\]|\\.|[^\"])*\"end",
    r"^([a-zA-Z0-9_.-]+)*@x",
    r".*.*.*.*=.*",
    r"\d*\d*\d*\d*\d*x",
]
GOOD = [r"KD-\d{6}", r"\b[A-Z]{2}\d{7}\b", r"(?i)employee[ _]?id[:=]\s*(?P<secret>\w+)", r"\d{3}-\d{2}-\d{4}",
        r"[\w.]+@corp\.example", r"(?:foo|bar)+-\d+", r"project-[a-z]+(?:-[a-z]+)*"]  # fmt: skip


@pytest.mark.parametrize("text", CATASTROPHIC)
def test_catastrophic_pattern_is_refused_with_one_line_and_quickly(text: str) -> None:
    started = time.perf_counter()
    [line] = use(Policy(patterns=(text,)))
    assert time.perf_counter() - started < 3.0
    assert line.startswith(f"the redaction pattern {text!r} is not used: ")
    assert "\n" not in line
    assert redact_text("a" * 5000) == "a" * 5000


@pytest.mark.parametrize("text", GOOD)
def test_ordinary_pattern_is_taken_and_quick(text: str) -> None:
    pattern = Pattern(text)
    started = time.perf_counter()
    pattern.replace("lorem ipsum 12-34 " * 5_000)
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize("text", ["", "a*", "(?:b|)", "(", "[a", "(?P<x>a)(?P<x>b)", "a{99999999999}"])
def test_pattern_without_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"empty text|not a regular expression"):
        Pattern(text)


class Clock:
    """Time stands still but for the uses that are told to take long."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_pattern_that_takes_too_long_all_the_same_costs_long_texts_and_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    pattern = Pattern(r"KD-\d+", clock)
    assert pattern.replace("see KD-17 " * 10) == "see [redacted] " * 10
    clock.step = 1.0
    assert pattern.replace("see KD-17 " * 10) == "[redacted]"
    clock.step = 0.0
    assert pattern.replace("see KD-17 " * 10) == "[redacted]"  # longer than it may be given from now on
    assert pattern.replace("see KD-17") == "see [redacted]"
    clock.step = 1.0
    assert pattern.replace("see KD-17") == "[redacted]"
    lines: list[logging.LogRecord] = caplog.records
    assert [line.getMessage() for line in lines] == [
        "the redaction pattern 'KD-\\\\d+' took 1000 ms: texts that are too long for it are dropped from now on"
    ]


def test_long_text_is_looked_at_in_windows_and_no_match_is_lost_between_them() -> None:
    pattern = Pattern(r"KD-\d{6}")
    for offset in range(990, 1040, 3):
        assert "KD-" not in pattern.replace("x" * offset + "KD-471100" + "y" * 5000)
