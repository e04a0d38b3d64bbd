"""Rate limits, as the headers of providers' answers tell of them. Pure.

`x-ratelimit-remaining-tokens: 29950`, `x-ratelimit-reset-requests: 6m0s` (OpenAI and those who speak its protocol),
`anthropic-ratelimit-input-tokens-reset: 2026-11-21T12:00:00Z` (Anthropic).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Headers = Mapping[str, str] | list[tuple[bytes, bytes]]

_KINDS: Final = ("requests", "tokens", "input-tokens", "output-tokens")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST: Final = 64


@dataclass(frozen=True, slots=True)
class Limit:
    """What a provider said of one limit.

    Attributes:
        kind: `requests`, `tokens`, `input_tokens`, `output_tokens`.
        limit: What is allowed in a window; None where it was not said.
        remaining: What is left.
        reset: Seconds until all of it is there again.
    """

    kind: str
    limit: float | None
    remaining: float | None
    reset: float | None


def limits_of(headers: Mapping[str, str], now: float) -> Iterator[Limit]:
    """Give the limits that headers tell of.

    Args:
        headers: Of an answer; their names are compared as the mapping compares them, in lower case.
        now: Seconds since 1970.
    """
    for kind in _KINDS:
        for names in (f"x-ratelimit-{{}}-{kind}", f"anthropic-ratelimit-{kind}-{{}}"):
            limit, remaining = (_number(headers.get(names.format(each))) for each in ("limit", "remaining"))
            reset = _seconds(headers.get(names.format("reset")), now)
            if limit is not None or remaining is not None or reset is not None:
                yield Limit(kind.replace("-", "_"), limit, remaining, reset)
                break


class Said:
    """The limits of an answer, read when somebody collects: the last before that is, and no other.

    Args:
        headers: Of the answer.
        labels: What stands before the kind of the limit: provider and model.
    """

    __slots__ = ("_at", "_headers", "_labels")

    def __init__(self, headers: Headers, labels: tuple[str | None, ...]) -> None:
        self._headers = headers
        self._labels = labels
        self._at = time.time()

    def _readings(self, of: Callable[[Limit], float | None]) -> Iterator[tuple[Any, ...]]:
        headers = self._headers
        if isinstance(headers, list):
            # As httpx has them.
            headers = {
                name.decode("ascii", "replace").lower(): value.decode("ascii", "replace")
                for name, value in headers
            }
        for each in limits_of(headers, self._at):
            if (value := of(each)) is not None:
                yield (value, *self._labels, each.kind)

    def limit(self) -> Iterator[tuple[Any, ...]]:
        """What is allowed in a window, with its labels."""
        return self._readings(lambda each: each.limit)

    def remaining(self) -> Iterator[tuple[Any, ...]]:
        """What is left."""
        return self._readings(lambda each: each.remaining)

    def reset(self) -> Iterator[tuple[Any, ...]]:
        """Seconds until all of it is there again, as they were when the answer came."""
        return self._readings(lambda each: each.reset)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < float("inf") else None


def _seconds(text: str | None, now: float) -> float | None:
    if not text or len(text) > _LONGEST:
        return None
    if (plain := _number(text)) is not None:
        # Some say when, in seconds since 1970, others in how many.
        return max(0.0, plain - now) if plain > now / 2 else plain
    parts = _DURATION.findall(text)
    if parts and "".join(f"{value}{unit}" for value, unit in parts) == text:
        return sum(float(value) * _SECONDS[unit] for value, unit in parts)
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - now)
