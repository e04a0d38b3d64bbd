"""Private parts of `logging`, structlog and loguru."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# --- logging: the format of who has none

_original_formats: list[tuple[Any, Any]] = []


def set_default_log_format(text_format: str, defaults: Mapping[str, object]) -> None:
    """Give a format to handlers that have none, and to `basicConfig()` without one.

    Upstream calls `basicConfig`, after which the application's own does nothing.

    Args:
        text_format: In `%` style.
        defaults: Fields of records that went past `Logger.callHandlers`.
    """
    if not _original_formats:
        _original_formats.append((logging._defaultFormatter, logging._STYLES["%"]))  # type: ignore[attr-defined] # nothing public sets it
    formatter = logging.Formatter(text_format, defaults=dict(defaults))
    logging._defaultFormatter = formatter  # type: ignore[attr-defined] # nothing public sets it
    logging._STYLES["%"] = (logging._STYLES["%"][0], text_format)  # type: ignore[attr-defined] # nothing public sets it


def restore_default_log_format() -> None:
    """Undo `set_default_log_format`."""
    if _original_formats:
        formatter, style = _original_formats.pop()
        logging._defaultFormatter = formatter  # type: ignore[attr-defined] # nothing public sets it
        logging._STYLES["%"] = style  # type: ignore[attr-defined] # nothing public sets it


# --- structlog: what stands around the last processor


class _Steps(list[Any]):
    """The processors of a logger with two more; knows the application's own list, which may be changed in place."""

    def __init__(self, own: Any, before: Any, after: Any) -> None:
        super().__init__([*own[:-1], before, own[-1], after])
        self.own = own


class _Processors:
    """Stands for the attribute `_processors` of structlog's loggers.

    A wrapped method would be a frame between the application and structlog, which structlog then takes for the
    place that the event comes from.
    """

    def __init__(self, before: Any, after: Any) -> None:
        self._before, self._after = before, after

    def __get__(self, logger: Any, owner: Any = None) -> Any:
        if logger is None:
            raise AttributeError("_processors")
        own = logger.__dict__["_processors"]
        return _Steps(own, self._before, self._after) if own and isinstance(own, (list, tuple)) else own

    def __set__(self, logger: Any, processors: Any) -> None:
        # `bind()` hands on what it reads here.
        logger.__dict__["_processors"] = processors.own if isinstance(processors, _Steps) else processors


def wrap_structlog_renderer(
    before: Callable[[Any, str, Any], Any], after: Callable[[Any, str, Any], Any]
) -> None:
    """Have every structlog logger call `before` right before its last processor, and `after` right after it."""
    from structlog import BoundLoggerBase

    BoundLoggerBase._processors = _Processors(before, after)  # type: ignore[assignment] # nothing public sets it


def unwrap_structlog_renderer() -> None:
    """Undo `wrap_structlog_renderer`."""
    from structlog import BoundLoggerBase

    if isinstance(vars(BoundLoggerBase).get("_processors"), _Processors):
        del BoundLoggerBase._processors  # pyright: ignore[reportAttributeAccessIssue] # nothing public sets it


# --- loguru: a record on its way to a sink


def wrap_loguru_sinks(wrapper: Callable[..., Any]) -> None:
    """Wrap `Handler.emit(record, …)`, which each sink of loguru is given a record by."""
    from loguru._handler import Handler
    from wrapt import wrap_function_wrapper

    wrap_function_wrapper(Handler, "emit", wrapper)


def unwrap_loguru_sinks() -> None:
    """Undo `wrap_loguru_sinks`."""
    from loguru._handler import Handler
    from opentelemetry.instrumentation.utils import unwrap

    unwrap(Handler, "emit")
