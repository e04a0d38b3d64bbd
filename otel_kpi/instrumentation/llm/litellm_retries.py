"""The attempts that LiteLLM itself makes again: `completion_with_retries` and its siblings, which `num_retries` leads to.

They call a function of LiteLLM's that nobody sees until it gives up, so that function is put in the place of itself.
What the SDK below tries again is counted there.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.instrumentation.llm import underway

if TYPE_CHECKING:
    from otel_kpi.instrumentation.llm.library import Library
    from otel_kpi.instrumentation.llm.underway import Seen

_METHODS: Final = ("completion_with_retries", "responses_with_retries")


def watch(library: Library) -> None:
    """Have the attempts after the first counted, until the library is let go."""
    import litellm

    for name in _METHODS:
        library.watch(litellm, (name,), _again)
        library.watch(litellm, (f"a{name}",), _again_async)


class _Attempts:
    """Counts the attempts after the first, which failed before LiteLLM began to count."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.error = sys.exception()
        self.failed_at = time.monotonic()

    def begin(self) -> None:
        status = getattr(self.error, "status_code", None)
        kind = type(self.error).__name__
        reason = (
            "timeout" if "Timeout" in kind else "connection" if "Connection" in kind else str(status or kind)
        )
        self.seen.retried(reason, time.monotonic() - self.failed_at)

    def failed(self, error: BaseException) -> None:
        self.error, self.failed_at = error, time.monotonic()


def _again(wrapped: Any, _module: Any, args: Any, kwargs: Any) -> Any:
    seen, original = underway.current(), kwargs.get("original_function") or _default(wrapped.__name__)
    if seen is None:
        return wrapped(*args, **kwargs)
    attempts = _Attempts(seen)

    def attempt(*given: Any, **named: Any) -> Any:
        attempts.begin()
        try:
            return original(*given, **named)
        except BaseException as error:
            attempts.failed(error)
            raise

    return wrapped(*args, **{**kwargs, "original_function": attempt})


def _default(name: str) -> Any:
    """Give the function that LiteLLM calls again where it is not told which."""
    if name == "completion_with_retries":
        from litellm import main

        return main.completion
    try:
        from litellm.responses.dispatch import responses
    except ImportError:  # it came after 1.80
        from litellm.responses.main import responses
    return responses


async def _again_async(wrapped: Any, _module: Any, args: Any, kwargs: Any) -> Any:
    seen, original = underway.current(), kwargs.get("original_function")
    if seen is None or original is None:
        return await wrapped(*args, **kwargs)
    attempts = _Attempts(seen)

    async def attempt(*given: Any, **named: Any) -> Any:
        attempts.begin()
        try:
            return await original(*given, **named)
        except BaseException as error:
            attempts.failed(error)
            raise

    return await wrapped(*args, **{**kwargs, "original_function": attempt})
