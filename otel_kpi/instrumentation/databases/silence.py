"""What SQLAlchemy asks of a driver on its own account: no span of the driver's for it.

Connecting, what a dialect wants to know then, the pool's question whether a connection lives, the batches of a cursor
whose statement has a span: the instrumentors of drivers would make client spans of all of these.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry import context

from otel_kpi import _compat

# asyncpg is instrumented on its classes, not on a connection that was made in silence.
_ASYNCPG_ADAPTER: Final = "sqlalchemy.dialects.postgresql.asyncpg"
_ASYNCPG_METHODS: Final = {
    "AsyncAdapt_asyncpg_ss_cursor": ("_buffer_rows", "fetchmany", "fetchall"),
}


class _Silence:
    """True until it is over: a context that outlives the call silences nobody."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False

    def __bool__(self) -> bool:
        return not self.over


def in_silence(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    """Call what is wrapped while drivers make no spans; a wrapper for `wrapt`."""
    silence = _Silence()
    silenced = _compat.suppressed_context(silence)
    token = context.attach(silenced)
    try:
        return wrapped(*args, **kwargs)
    finally:
        silence.over = True
        if context.get_current() is silenced:
            context.detach(token)


async def in_silence_async(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    """Await what is wrapped while drivers make no spans; a wrapper for `wrapt`."""
    silence = _Silence()
    silenced = _compat.suppressed_context(silence)
    token = context.attach(silenced)
    try:
        return await wrapped(*args, **kwargs)
    finally:
        silence.over = True
        if context.get_current() is silenced:
            context.detach(token)


class _Adapter:
    """Whether the adapter is to be silent; the hook of an import cannot be taken back, so there is one."""

    silent = hooked = False


def silence_drivers() -> None:
    """Wrap `Engine.raw_connection`, and SQLAlchemy's adapter of asyncpg once it is imported."""
    import sys

    from sqlalchemy.engine import Engine
    from wrapt import wrap_function_wrapper

    wrap_function_wrapper(Engine, "raw_connection", in_silence)
    _Adapter.silent = True
    if not _Adapter.hooked:
        _Adapter.hooked = True
        _compat.after_import(_ASYNCPG_ADAPTER, _silence_asyncpg)
    elif (adapter := sys.modules.get(_ASYNCPG_ADAPTER)) is not None:
        _silence_asyncpg(adapter)


def _silence_asyncpg(adapter: Any) -> None:
    from wrapt import wrap_function_wrapper

    if not _Adapter.silent:
        return
    try:
        for cls, methods in _ASYNCPG_METHODS.items():
            for method in methods:
                wrap_function_wrapper(getattr(adapter, cls), method, in_silence)
    except AttributeError:
        # Another SQLAlchemy: the batches of its cursors have spans then, which harms nobody.
        return


def release_drivers() -> None:
    """Undo `silence_drivers`."""
    import sys

    from opentelemetry.instrumentation.utils import unwrap
    from sqlalchemy.engine import Engine

    unwrap(Engine, "raw_connection")
    _Adapter.silent = False
    adapter = sys.modules.get(_ASYNCPG_ADAPTER)
    for cls, methods in _ASYNCPG_METHODS.items():
        for method in methods:
            unwrap(getattr(adapter, cls, None), method)
