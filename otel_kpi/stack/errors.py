"""What `otel-kpi stack` says when it cannot go on."""

from __future__ import annotations


class StackError(Exception):
    """A reason to stop, in words for the person at the terminal.

    The message names what is wrong and what to do; it is shown without a traceback.
    """
