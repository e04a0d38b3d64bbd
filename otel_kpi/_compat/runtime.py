"""Private parts of the interpreter, its imports, and urllib3."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3 import PoolManager

# --- imports: wrapt's hooks and the interpreter's own marks


def after_import(name: str, hook: Callable[[Any], None]) -> None:
    """Call `hook(module)` when the import of `name` has ended; now, if that was before."""
    from wrapt import register_post_import_hook

    register_post_import_hook(hook, name)


def import_ended(name: str, *, absent: bool = False) -> bool:
    """Say whether a module is imported and not half made.

    The interpreter marks a module whose body is still running on its spec; nothing public says it.

    Args:
        name: Full name of the module.
        absent: What to answer about a module that is not imported at all.
    """
    module = sys.modules.get(name)
    if module is None:
        return absent
    return not getattr(getattr(module, "__spec__", None), "_initializing", False)


def is_importing(thread: threading.Thread) -> bool:
    """Say whether a thread is in the middle of an import.

    A child that is forked in that moment waits for ever when it imports the same module: the interpreter does not
    renew the lock of a module that is half made.
    """
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False


def is_dependency_conflict(error: BaseException) -> bool:
    """Say whether an upstream instrumentor refused the installed version of its library."""
    from opentelemetry.instrumentation.dependencies import DependencyConflictError

    return isinstance(error, DependencyConflictError)


# --- urllib3: connections of the parent process


def abandon_pools(manager: PoolManager) -> None:
    """Have a forked child never wait for a lock that a thread of its parent held at the fork.

    urllib3 empties the queue of each pool when the pool is collected and when the interpreter ends, and takes the
    queue's lock for it.
    """
    pools: Any = manager.pools
    for pool in tuple(pools._container.values()):
        queue: Any = pool.pool
        if queue is not None:
            queue.__init__(queue.maxsize)
    pools.lock = threading.RLock()


# --- CPython: a program that takes the place of this one


def before_exec(hook: Callable[[], None]) -> None:
    """Call `hook()` before this process becomes another program by one of `os.exec*`.

    All of them end in these two functions. The interpreter offers nothing but an audit hook, which would be called
    at every import and every file that is opened.
    """
    import functools
    import os

    def wrapped(execute: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(execute)
        def flush_and_execute(*arguments: Any) -> Any:
            hook()
            return execute(*arguments)

        return flush_and_execute

    os.execv = wrapped(os.execv)  # pyright: ignore[reportAttributeAccessIssue]
    os.execve = wrapped(os.execve)  # pyright: ignore[reportAttributeAccessIssue]


# --- CPython: the status of a program that Ctrl-C ended


def remember_keyboard_interrupt() -> None:
    """Have CPython still end by SIGINT after a `KeyboardInterrupt` that nobody caught.

    The interpreter notes that the last code it ran from text was interrupted, and forgets it when anything else
    is run from text before the end (a named tuple that is made at import is enough, and sending imports). Without
    the note the status is 1, and a shell does not stop its script.
    """
    try:
        exec("raise KeyboardInterrupt")  # noqa: S102 - a constant; this sets the note again
    except KeyboardInterrupt:
        pass


# --- click, and typer's copy of it


def click_command() -> str:
    """Give program and command names of the click command that runs, empty when none does.

    typer has a private copy of click in its newer versions, and a context is known to the copy alone.
    """
    for name in ("click.globals", "typer._click.globals"):
        try:
            active: Any = sys.modules[name].get_current_context(silent=True)
        except (AttributeError, KeyError):  # not imported, or half
            continue
        if active is not None:
            return str(active.command_path)
    return ""
