"""Content that may leave: cut to a length that stores of traces take, messages as messages.

Messages are JSON on spans. The newest keep the most, for these are what one looks at; what is cut says how much there
was, and what leaves is JSON again.
"""

from __future__ import annotations

import json
from typing import Any, Final, Protocol, cast

_MARGIN: Final = 64
"""Characters that a text keeps at least, so that its beginning can be recognised."""
_DEPTH: Final = 16


class Store(Protocol):
    """Where content is kept apart from telemetry."""

    def put(self, text: str) -> str | None:
        """Keep a text, without waiting.

        Returns:
            Where it is, or will be; None when it cannot be kept, and then it is counted as lost.
        """
        ...


def shortened(text: str, length: int) -> str:
    """The text in at most so many characters; 0 is without limit. JSON stays JSON."""
    if length <= 0 or len(text) <= length:
        return text
    if text[:1] in {"[", "{"}:
        try:
            return _json(json.loads(text), length)
        except (ValueError, RecursionError):
            pass  # no JSON, or cut off by a limit before
    return _cut(text, length)


def _cut(text: str, length: int) -> str:
    remark = f"… [{len(text)} characters]"
    return text[: max(length - len(remark), 0)] + remark if length > len(remark) else remark


def _json(value: Any, length: int) -> str:
    """The document with its texts cut until it fits; of a list of messages the oldest go first."""
    kept = value
    # What keys and brackets take is not known before: a few turns, each with less for the texts.
    for part in (0.9, 0.6, 0.3, 0.1, 0.0):
        budget = [int(length * part)]
        written = _dumped(_walked(kept, budget, 0))
        if len(written) <= length:
            return written
    if isinstance(value, list):
        members = cast("list[Any]", value)
        newest = [_walked(member, [0], 0) for member in members[-8:]]
        while newest:
            dropped = len(members) - len(newest)
            written = _dumped([f"[{dropped} older ones]", *newest] if dropped else newest)
            if len(written) <= length:
                return written
            newest.pop(0)
    return _dumped(f"[{len(_dumped(value))} characters]")


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _walked(value: Any, budget: list[int], depth: int) -> Any:
    """The value with texts that together have no more characters than the budget; the last ones are served first."""
    if isinstance(value, str):
        allowed = max(budget[0], _MARGIN)
        found = value if len(value) <= allowed else _cut(value, allowed)
        budget[0] -= len(found)
        return found
    if depth >= _DEPTH:
        return None
    if isinstance(value, list):
        members = cast("list[Any]", value)
        return [_walked(member, budget, depth + 1) for member in reversed(members)][::-1]
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        return {name: _walked(member, budget, depth + 1) for name, member in mapping.items()}
    return value
