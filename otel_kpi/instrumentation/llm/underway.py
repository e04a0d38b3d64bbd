"""What only an SDK knows of a call that is under way, told by hooks inside of it and used when the call has ended."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as contexts

from otel_kpi._compat import genai

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    from otel_kpi.instrumentation.llm.limits import Headers
    from otel_kpi.packs.llm.attribution import Attribution

_numbers: Final = itertools.count(1)


class Seen:
    """What hooks saw of one call.

    Attributes:
        counts: The usage, by the units of `packs/llm/usage.py`; wins over what upstream read, which None says is wrong.
        tier: The service tier of the answer, or of the request.
        processing: `batch`, where it is.
        charged_amount: What the provider says that it charged, and the currency.
        endpoint: The address that was called, with its path.
        port: The port that was called, where upstream's package leaves it out.
        retries: Status and wait of each attempt that was made again.
        limits: Headers of rate limits, of the last answer that had some.
        received: Whether anything of the answer came.
        abandoned: Why a stream was not read to its end, where a hook knows.
        chunks: How many parts of it had come by then.
        counted_elsewhere: Another call inside of this one is the one that is billed.
        attribution: For whom and for what, as it was at the beginning.
        span_attributes: What a span says of that.
        began: Seconds since 1970.
        number: In the order of the beginnings.
    """

    __slots__ = (
        "abandoned",
        "attribution",
        "began",
        "charged_amount",
        "chunks",
        "counted_elsewhere",
        "counts",
        "endpoint",
        "limits",
        "number",
        "port",
        "processing",
        "received",
        "retries",
        "span_attributes",
        "tier",
    )

    def __init__(self, attribution: Attribution) -> None:
        self.counts: dict[str, Any] = {}
        self.tier: str | None = None
        self.processing: str | None = None
        self.charged_amount: tuple[Decimal, str] | None = None
        self.endpoint: str | None = None
        self.port: int | None = None
        self.retries: list[tuple[str, float | None]] = []
        self.limits: Headers | None = None
        self.received = False
        self.abandoned: str | None = None
        self.chunks = 0
        self.counted_elsewhere = False
        self.attribution = attribution
        self.span_attributes: Mapping[str, AttributeValue] = {}
        self.began = time.time()
        self.number = next(_numbers)

    def usage(self, counts: Mapping[str, Any]) -> None:
        """Take what the provider reported; a later report of the same unit wins, None says nothing."""
        self.received = True
        for key, value in counts.items():
            if value is not None:
                self.counts[key] = value

    def retried(self, status: str, wait: float | None) -> None:
        """Note that an attempt is made again.

        Args:
            status: Why: the status of HTTP, `timeout` or `connection`.
            wait: Seconds until then; None where nobody knows.
        """
        if len(self.retries) < 100:  # noqa: PLR2004 - an SDK that tries for ever is counted no further
            self.retries.append((status, wait))

    def limited(self, headers: Headers) -> None:
        """Take the headers of an answer, of which those of rate limits are read: a mapping, or pairs of bytes."""
        if isinstance(headers, list) or any("ratelimit" in name.lower() for name in headers):
            self.limits = headers

    def charged(self, amount: Decimal, currency: str) -> None:
        """Take what the provider says that it charged: it wins over every computation."""
        self.charged_amount = (amount, currency)


def current(context: Context | None = None) -> Seen | None:
    """The call that is under way in a context; None outside of any. The innermost of an inference and an embedding."""
    if context is None:
        context = contexts.get_current()
    inference: Seen | None = genai.held(genai.shared_data(context, embedding=False))
    embedding: Seen | None = genai.held(genai.shared_data(context, embedding=True))
    if inference is None or embedding is None:
        return inference or embedding
    return inference if inference.number > embedding.number else embedding
