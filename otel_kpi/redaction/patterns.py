"""Patterns of the user's, which must not hold up a process.

Python cannot interrupt a regular expression. So a pattern is tried before it is taken, on texts made to be bad for it
that grow by one character, and by doubling, for as long as each takes little: a pattern whose time explodes is seen
when it takes milliseconds. A text is given to it in windows of bounded length, and each use is timed. If a pattern
takes too long all the same, from then on longer texts are dropped instead of being given to it.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

from otel_kpi import _compat
from otel_kpi.redaction.shapes import REDACTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_logger = logging.getLogger("otel_kpi.redaction")

WINDOW = 1024
"""Characters that a pattern is given at a time."""
_OVERLAP = 256  # longest secret that is found wherever it stands
_SLOW = 0.05  # seconds
_TRIAL = 0.005  # seconds for one text of the trial
_LONGEST_TRIAL = 0.3  # seconds for all of them
_PUMPS = 40


class Pattern:
    """One regular expression; what it matches, or its group `secret`, is replaced.

    Args:
        text: The expression.
        clock: Seconds of work of this thread; others that are busy take nothing away from a pattern.

    Raises:
        ValueError: It is none, matches the empty text, or may take forever; the message says which.
    """

    def __init__(self, text: str, clock: Callable[[], float] = time.thread_time) -> None:
        self.text = text
        try:
            self._regex = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"not a regular expression: {error}") from None
        self._clock = clock
        _try(self._regex, clock)
        if self._regex.search("") is not None:
            raise ValueError("it matches the empty text")
        self._group = "secret" if "secret" in self._regex.groupindex else 0
        self.longest = 1 << 62

    def replace(self, text: str) -> str:
        """The text without what matches; `[redacted]` for a text that is longer than this pattern can take."""
        if len(text) > self.longest:
            return REDACTED
        started = self._clock()
        spans = self._spans(text, started)
        taken = self._clock() - started
        if spans is None or taken > _SLOW * (1 + len(text) // WINDOW):
            self._limit(len(text), taken)
            return REDACTED
        pieces: list[str] = []
        done = 0
        for start, end in spans:
            if end > done:
                pieces += (text[done : max(start, done)], REDACTED if start >= done else "")
                done = end
        return "".join((*pieces, text[done:])) if pieces else text

    def _spans(self, text: str, started: float) -> list[tuple[int, int]] | None:
        spans: list[tuple[int, int]] = []
        for offset in range(0, max(1, len(text)), WINDOW - _OVERLAP):
            window = text[offset : offset + WINDOW] if len(text) > WINDOW else text
            for match in self._regex.finditer(window):
                start, end = match.span(self._group)
                if end > start:
                    spans.append((offset + start, offset + end))
            if len(text) <= WINDOW or offset + WINDOW >= len(text):
                break
            if self._clock() - started > _SLOW * (2 + offset // WINDOW):
                return None
        spans.sort()
        return spans

    def _limit(self, length: int, taken: float) -> None:
        first = self.longest > WINDOW * 1024
        self.longest = min(length, WINDOW) // 4
        if first:
            _logger.warning(
                "the redaction pattern %r took %.0f ms: texts that are too long for it are dropped from now on",
                self.text,
                taken * 1000.0,
            )


def create_patterns(texts: Iterable[str]) -> tuple[tuple[Pattern, ...], tuple[str, ...]]:
    """The patterns that can be used, and one line for each that cannot."""
    patterns: list[Pattern] = []
    problems: list[str] = []
    for text in texts:
        try:
            patterns.append(Pattern(text))
        except ValueError as error:
            problems.append(f"the redaction pattern {text!r} is not used: {error}")
    return tuple(patterns), tuple(problems)


def _try(regex: re.Pattern[str], clock: Callable[[], float]) -> None:
    """Raise `ValueError` when the time of the pattern explodes on a text that grows."""
    began = clock()
    for prefix, pump in _attacks(regex.pattern):
        for count in (*range(1, _PUMPS), 64, 128, 256, 512, 1024):
            if count * len(pump) > WINDOW:
                break
            attack = f"{prefix}{pump * count}\x00"
            started = clock()
            regex.search(attack)
            if clock() - started > (_TRIAL if count < _PUMPS else _SLOW):
                raise ValueError(f"it may take forever (a text of {len(attack)} characters took too long)")
        if clock() - began > _LONGEST_TRIAL:
            raise ValueError("it takes too long to try")


def _attacks(pattern: str) -> Iterator[tuple[str, str]]:
    """Texts before, and texts to repeat, that are bad for the loops of the pattern."""
    loops = _compat.regex_loops(pattern)
    seen: set[tuple[str, str]] = set()
    for prefix, body in loops:
        for pump in (body, body[:1], body[-1:]):
            if pump and (prefix, pump) not in seen:
                seen.add((prefix, pump))
                yield prefix, pump
    for pump in ("a", "0", " ", "A", "-", ".", "aA0"):
        if ("", pump) not in seen:
            yield "", pump
