"""Fail open: an error of an instrumentor never reaches the call that it watches.

An instrumentor's wrapper calls the wrapped function itself, so it is given a stand-in that notes what the function
returned or raised. What the wrapper raises and the function did not raise is ours: it is counted, said once, and
the caller gets what the function gave. When the function was not called yet, it is called now, with the arguments
of the caller. After ten errors the instrumentor is off: its calls go past it.

Who raised is decided by the identity of the exception. `BaseException` (Ctrl-C, a cancelled task, a generator that
is closed) is nobody's error and passes.
"""

from __future__ import annotations

from otel_kpi.instrumentation.boundary.guard import MOST_ERRORS, Boundary, known_boundary

__all__ = ["MOST_ERRORS", "Boundary", "known_boundary"]
