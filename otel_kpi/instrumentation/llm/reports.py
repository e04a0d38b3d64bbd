"""What each answer within one call reports of its usage, added to what the answers before it did.

One call of an SDK may be several requests: a function is called and its result sent back, an answer is continued, a
fallback is asked. Each of them is billed. Within one answer of a stream the counts are totals so far.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from otel_kpi.instrumentation.llm import underway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context

    from otel_kpi.instrumentation.boundary import Boundary
    from otel_kpi.instrumentation.llm.underway import Seen


class Report:
    """What one answer reports.

    Attributes:
        seen: The call that it belongs to, as it was found when the request was sent: a stream is read elsewhere.
        told: Whether it has reported anything.
        said: What it said so far, in the provider's own words, where its parts say it bit by bit.
    """

    __slots__ = ("_before", "said", "seen", "told")

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.told = False
        self.said: dict[str, Any] = {}
        self._before = dict(seen.counts)

    def usage(self, counts: Mapping[str, Any]) -> None:
        """Take the totals of this answer so far, by the units of `packs/llm/usage.py`; None says nothing."""
        self.told = True
        if before := self._before:
            counts = {key: _added(before.get(key), value) for key, value in counts.items()}
        self.seen.usage(counts)


def of_current_call(context: Context | None = None) -> Report | None:
    """The report of an answer that is about to come; None outside of any call."""
    seen = underway.current(context)
    return None if seen is None else Report(seen)


def kept(boundary: Boundary, hook: Callable[..., Any]) -> Callable[..., Any]:
    """Give a hook whose errors do not reach the call that it is told of; after ten of them it is asked no more."""

    @functools.wraps(hook)
    def ask(*args: Any) -> Any:
        if not boundary.open:
            return None
        try:
            return hook(*args)
        except Exception as error:
            boundary.failed(error)
            return None

    return ask


def total(*counts: Any) -> Any:
    """Add counts that a provider reports apart; None where none of them is there.

    What is not a count is given back as it is, so that whoever reads the usage sees that it cannot be true.
    """
    whole: int | None = None
    for count in counts:
        if count is None:
            continue
        if (type(count) is not int or count < 0) and not _is_count(count):
            return count
        whole = int(count) + (whole or 0)
    return whole


def _added(before: Any, value: Any) -> Any:
    return value if before is None or value is None else total(before, value)


def _is_count(value: Any) -> bool:
    """Some APIs have whole numbers as `12.0`; a boolean is not a count."""
    return (type(value) is int or (type(value) is float and value.is_integer())) and value >= 0
