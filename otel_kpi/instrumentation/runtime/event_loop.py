"""Event loops: each is watched while it runs, whoever made it.

`run_forever` is where every loop of asyncio runs, under `asyncio.run`, a server or a framework; uvloop's class has
its own. A loop whose class has another `run_forever` is not seen (`otel_kpi.runtime.watch_loop` is for these).
"""

from __future__ import annotations

import sys
from typing import Any, Final

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.packs.runtime import event_loop

_CLASSES: Final = (("asyncio.base_events", "BaseEventLoop"), ("uvloop", "Loop"))


class EventLoops:
    """Wraps `run_forever` of the classes of loops, once they are imported."""

    def __init__(self) -> None:
        self._boundary = Boundary("system_metrics")
        self._active = False
        self._wrapped: list[Any] = []

    def instrument(self) -> None:
        """Watch loops that begin to run from now on, and the one that runs here."""
        self._active = True
        event_loop.prepare()
        for module, name in _CLASSES:
            _compat.after_import(module, self._hook(name))
        asyncio = sys.modules.get("asyncio")
        if asyncio is not None and hasattr(asyncio, "get_running_loop"):
            event_loop.watch_loop()

    def uninstrument(self) -> None:
        """Unwrap; loops that run are left."""
        from opentelemetry.instrumentation.utils import unwrap

        self._active = False
        while self._wrapped:
            unwrap(self._wrapped.pop(), "run_forever")
        event_loop.leave_loops()

    def _hook(self, name: str) -> Any:
        def hook(module: Any) -> None:
            # An exception here would make the application's own import fail.
            try:
                owner = getattr(module, name)
                if self._active and owner not in self._wrapped:
                    from wrapt import wrap_function_wrapper

                    wrap_function_wrapper(owner, "run_forever", self._run_forever)
                    self._wrapped.append(owner)
            except Exception as error:
                self._boundary.failed(error)

        return hook

    def _run_forever(self, wrapped: Any, loop: Any, args: Any, kwargs: Any) -> Any:
        # A class that is derived from another one that is wrapped comes here twice.
        began = self._begin(loop)
        try:
            return wrapped(*args, **kwargs)
        finally:
            if began:
                self._end(loop)

    def _begin(self, loop: Any) -> bool:
        try:
            if not self._boundary.open or loop.is_running() or loop.is_closed():
                return False
            event_loop.begin_watch(loop)
        except Exception as error:
            self._boundary.failed(error)
            return False
        return True

    def _end(self, loop: Any) -> None:
        try:
            event_loop.end_watch(loop)
        except Exception as error:
            self._boundary.failed(error)
