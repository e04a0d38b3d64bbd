"""Attributes that were decoded before, found by what was sent: an application says the same again and again.

Nine of ten attributes are ones that came before, to the byte. Working them out, not reading the wire, is what a request costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from typing_extensions import override

from otel_kpi.dev.telemetry import MalformedError
from otel_kpi.dev.wire.values import MAX_NEW

if TYPE_CHECKING:
    from otel_kpi.dev.telemetry import Attribute

Sent = TypeVar("Sent", bytes, "tuple[Any, ...]")

MOST: Final = 100_000
"""Attributes; with one more all are forgotten, and what really repeats is back within a request."""
MOST_BYTES: Final = 8 * 2**20
"""Of what was sent; what is made of it takes five times that."""
LONGEST: Final = 256
"""Bytes of what is remembered: what is longer seldom repeats."""


class Memory(dict[Sent, "Attribute"]):
    """The attributes by what was sent, so that `get` is a dictionary's own."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 0
        self._new = 0

    def begin(self) -> None:
        """A request begins."""
        self._new = 0

    def new(self) -> None:
        """An attribute of the request is not among those that are remembered.

        Raises:
            MalformedError: It has had too many of them.
        """
        self._new += 1
        if self._new > MAX_NEW:
            raise MalformedError(
                f"the request has more than {MAX_NEW} different attributes; send smaller batches"
            )

    def keep(self, sent: Sent, size: int, attribute: Attribute) -> None:
        """Remember one of so many bytes, unless it is long."""
        if size > LONGEST:
            return
        if len(self) >= MOST or self._size + size > MOST_BYTES:
            self.clear()
        self._size += size
        self[sent] = attribute

    @override
    def clear(self) -> None:
        super().clear()
        self._size = 0
