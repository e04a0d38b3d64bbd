"""Where a request comes from, and the moment in which something was said of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from opentelemetry import context

if TYPE_CHECKING:
    from opentelemetry.context import Context

_LONGEST: Final = 64
_LONGEST_HEADER: Final = 1024
_MOST_HOPS: Final = 8


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from, and who answers it.

    Attributes:
        address: Of the client.
        forwarded: What the request says of where it came from.
        django: Whether Django answers it: its failures are in `django_auth_failures_total`, too.
    """

    address: str = ""
    forwarded: tuple[str, ...] = ()
    django: bool = False

    def at(self, address: object) -> Origin:
        """The same with the address that the application gives; its own where that is None."""
        return self if not address else replace(self, address=str(address)[:_LONGEST])


NOWHERE: Final = Origin()


def hops(*headers: str) -> tuple[str, ...]:
    """Give the first addresses of `X-Forwarded-For`, of which a caller may write as many as fit into a request."""
    listed = ",".join(each[:_LONGEST_HEADER] for each in headers[:_MOST_HOPS])
    return tuple(each.strip() for each in listed.split(",", _MOST_HOPS)[:_MOST_HOPS])


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was said, and in which trace.

    Attributes:
        context: With the span that was current.
        timestamp: Nanoseconds since 1970.
    """

    context: Context
    timestamp: int


def now() -> Moment:
    """This moment."""
    return Moment(context.get_current(), time.time_ns())
