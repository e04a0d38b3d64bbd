"""Which errors are one issue: a fingerprint that leaves out what differs from one occurrence to the next.

A server that groups by the message makes an issue of each order number; one that groups by the stack makes one
of two different errors out of the same line. The fingerprint has the types of the chain, the message without
ids, numbers and addresses, and the function of the application in which the error began.
"""

from __future__ import annotations

import re
from typing import Any

from otel_kpi.redaction import active, redact_text

# The part of a message that says what happened is its beginning.
_LENGTH = 300
_LONGEST = 10_000
"""Characters in which a quotation of a prompt is looked for."""

# One pass, so that an address is not taken apart by the rule for numbers. Each repetition is bounded.
_VARYING = re.compile(
    r"""
    (?P<mail>[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,8})
  | (?P<uuid>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)
  | (?P<time>\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+\-]\d\d:?\d\d)?)?)
  | (?P<address>\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b
      | (?<![\w:])(?:[0-9a-f]{0,4}(?:::?[0-9a-f]{1,4}){2,7}|[0-9a-f]{1,4}::[0-9a-f]{1,4})(?![\w:])
      | \b0x[0-9a-f]{1,16}\b)
  | (?P<id>\b(?=[\w\-]{0,40}\d)(?=[\w\-]{0,40}[a-z_])[\w\-]{8,256})
  | (?P<hex>\b[0-9a-f]{16,128}\b)
  | (?P<number>\d[\d_,.]{0,40}(?<=\d)|\d)
    """,
    re.IGNORECASE | re.VERBOSE,
)


def without_ids(text: str) -> str:
    """The beginning of a message in which ids, numbers, dates and addresses are named and not written."""
    # Not after the numbers are gone: a provider's error is known by its status.
    unquoted = active().of_events.unquoted(text[:_LONGEST])
    return redact_text(_VARYING.sub(_name, unquoted[:_LENGTH]))


def _name(match: re.Match[str]) -> str:
    return f"<{match.lastgroup}>"


def fingerprint(event: dict[str, Any]) -> list[str] | None:
    """What makes an event one issue with others; None for an event without an error and without a message.

    Args:
        event: As it is sent, with frames and texts.
    """
    values = (event.get("exception") or {}).get("values") or ()
    if values:
        outermost = values[-1]
        types = " < ".join(str(value.get("type")) for value in reversed(values[-8:]))
        kind = f"{outermost.get('module')}.{outermost.get('type')}"
        message = active().of_events.quoted(kind, str(outermost.get("value") or ""))
        return [types, without_ids(message), _origin(outermost)]
    entry = event.get("logentry") or {}
    # The template, where the program has kept it apart from its arguments.
    message = entry.get("message") or entry.get("formatted") or event.get("message")
    if not isinstance(message, str):
        return None
    return [str(event.get("logger") or "message"), without_ids(message)]


def _origin(value: dict[str, Any]) -> str:
    """Module and function of the innermost frame of the application, or of the innermost one."""
    frames = (value.get("stacktrace") or {}).get("frames") or ()
    for frame in reversed(frames):
        if frame.get("in_app"):
            return f"{frame.get('module')}:{frame.get('function')}"
    return f"{frames[-1].get('module')}:{frames[-1].get('function')}" if frames else ""
