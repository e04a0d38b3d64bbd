"""The base client of SDKs that Stainless generates: `openai`, `anthropic` and others have the same one.

Nothing public of it tells of an attempt that is made again, gives the headers of an answer that a stream or a model
was made from, or shows an answer as it came: fields that a model has no name for, usage in the middle of a stream.
An HTTP client with hooks would do some of it, and would have to be given to every client that the application makes.
"""

from __future__ import annotations

import functools
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

_MARK: Final = "_otel_kpi_watched"
_status: Final[ContextVar[int | None]] = ContextVar("otel_kpi_stainless_status", default=None)
"""What the attempt was answered that is about to be made again."""

KEY: Final = "otel_kpi.seen"
"""In the extensions of a response, httpx's own place for what others know of it."""


class Watcher(Protocol):
    """What is told of the requests of a base client. What it raises is kept from the client."""

    def retried(self, status: str, wait: float) -> None:
        """An attempt is made again after `wait` seconds."""

    def failed(self, response: Any) -> None:
        """An attempt was answered with an error; the last one or not."""

    def answered(self, client: Any, response: Any, options: Any, *, stream: bool) -> Any:
        """A request was answered; what is returned is given to `data` with what the answer says."""

    def made(self, kept: Any, response: Any, result: Any, *, stream: bool) -> None:
        """The client made a result of an answer."""

    def data(self, kept: Any, data: Mapping[str, Any]) -> None:
        """The JSON of an answer, or of an event of its stream."""

    def broken(self, error: Exception) -> None:
        """One of the others raised."""


def watch_base_client(module: ModuleType, watcher: Watcher) -> tuple[str, ...]:
    """Have a base client tell of its requests, once for the process.

    Touches `BaseClient._should_retry`, `._calculate_retry_timeout`, `._make_status_error_from_response` and
    `._process_response_data`, and `_process_response` of the synchronous and the asynchronous client. All were there
    in openai 1.26 and are in 2.54, and in anthropic 0.16 and 2.12.

    Args:
        module: `openai._base_client`, `anthropic._base_client`, ….
        watcher: Told of them, in the context of the call.

    Returns:
        The names that this version does not have; what they tell of stays unknown.
    """
    base, missing = module.BaseClient, list[str]()
    if getattr(base, _MARK, False):
        return ()

    def replace(cls: Any, name: str, make: Callable[[Any, Watcher], Any]) -> None:
        original = cls.__dict__.get(name)
        if original is None:
            missing.append(f"{cls.__name__}.{name}")
        else:
            setattr(cls, name, functools.wraps(original)(make(original, watcher)))

    replace(base, "_should_retry", _should_retry)
    replace(base, "_calculate_retry_timeout", _calculate_retry_timeout)
    replace(base, "_make_status_error_from_response", _make_status_error)
    replace(base, "_process_response_data", _process_data)
    replace(module.SyncAPIClient, "_process_response", _process_response)
    replace(module.AsyncAPIClient, "_process_response", _process_response_async)
    setattr(base, _MARK, True)
    return tuple(missing)


def client_of(resource: Any) -> Any:
    """The client of a resource such as `client.chat.completions`; None where it has none."""
    return getattr(resource, "_client", None)


def _should_retry(original: Any, watcher: Watcher) -> Any:
    def should_retry(self: Any, response: Any) -> Any:
        again = original(self, response)
        if again:
            try:
                _status.set(response.status_code)
                watcher.failed(response)
            except Exception as error:
                watcher.broken(error)
        return again

    return should_retry


def _calculate_retry_timeout(original: Any, watcher: Watcher) -> Any:
    """Called once for each attempt that is made again, in every version; the coroutine around it has changed."""

    def calculate_retry_timeout(self: Any, *args: Any, **kwargs: Any) -> Any:
        wait = original(self, *args, **kwargs)
        try:
            status = _status.get()
            _status.set(None)
            watcher.retried(_met(sys.exception()) if status is None else str(status), float(wait))
        except Exception as error:
            watcher.broken(error)
        return wait

    return calculate_retry_timeout


def _met(error: BaseException | None) -> str:
    """What an attempt met that was not answered, by the exception that the client is handling."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return str(status)
    return "timeout" if "Timeout" in type(error).__name__ else "connection"


def _make_status_error(original: Any, watcher: Watcher) -> Any:
    def make_status_error_from_response(self: Any, response: Any) -> Any:
        try:
            watcher.failed(response)
        except Exception as error:
            watcher.broken(error)
        return original(self, response)

    return make_status_error_from_response


def _process_data(original: Any, watcher: Watcher) -> Any:
    def process_response_data(self: Any, *, data: Any, response: Any, **kwargs: Any) -> Any:
        try:
            kept = response.extensions.get(KEY)
            if kept is not None and isinstance(data, dict):
                watcher.data(kept, data)
        except Exception as error:
            watcher.broken(error)
        return original(self, data=data, response=response, **kwargs)

    return process_response_data


def _answered(watcher: Watcher, client: Any, given: dict[str, Any]) -> Any:
    try:
        response = given["response"]
        stream = bool(given.get("stream"))
        kept = watcher.answered(client, response, given.get("options"), stream=stream)
        if kept is not None:
            response.extensions[KEY] = kept
    except Exception as error:
        watcher.broken(error)
        return None
    return kept


def _made(watcher: Watcher, kept: Any, given: dict[str, Any], result: Any) -> None:
    if kept is None:
        return
    try:
        watcher.made(kept, given["response"], result, stream=bool(given.get("stream")))
    except Exception as error:
        watcher.broken(error)


def _process_response(original: Any, watcher: Watcher) -> Any:
    def process_response(self: Any, **kwargs: Any) -> Any:
        kept = _answered(watcher, self, kwargs)
        result = original(self, **kwargs)
        _made(watcher, kept, kwargs, result)
        return result

    return process_response


def _process_response_async(original: Any, watcher: Watcher) -> Any:
    async def process_response(self: Any, **kwargs: Any) -> Any:
        kept = _answered(watcher, self, kwargs)
        result = await original(self, **kwargs)
        _made(watcher, kept, kwargs, result)
        return result

    return process_response
