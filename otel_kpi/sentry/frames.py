"""The stack of an error: source lines, which repeat from event to event, and local variables, which do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from otel_kpi import redaction
from otel_kpi.sentry import headers

if TYPE_CHECKING:
    from otel_kpi.redaction import Redactor

    Frame = dict[str, Any]

_TEXTS = (
    "filename",
    "abs_path",
    "function",
    "module",
    "lineno",
    "in_app",
    "context_line",
    "colno",
    "package",
)
_LINES = ("pre_context", "post_context")
_STATIC = frozenset((*_TEXTS, *_LINES))
_MEMORY_SIZE = 4096


class _Memory:
    """What is known of the static part of frames, by its hash: None for one without a secret."""

    def __init__(self) -> None:
        self.redactor: Redactor | None = None
        self.frames: dict[int, Frame | None] = {}

    def of(self, redactor: Redactor) -> dict[int, Frame | None]:
        """The memory for this policy; another policy begins anew."""
        if self.redactor is not redactor or len(self.frames) >= _MEMORY_SIZE:
            self.redactor = redactor
            self.frames = {}
        return self.frames


_memory = _Memory()


def without_secrets(name: str, holder: Any, *, libraries: bool) -> Any:
    """The part of an event that has stacks (`exception`, `threads`, `stacktrace`), without secrets.

    Args:
        name: Name of the part.
        holder: The part.
        libraries: Whether the local variables of libraries stay, too. They are whole requests, connections and
            credentials, and make most of an event. Those of the application's own code stay always, and those
            of the function in which the error was raised; where those of libraries go, so do the values of headers
            that are not known.
    """
    if not isinstance(holder, dict):
        return redaction.redact_value(name, holder)
    known = cast("Frame", holder)
    values = known.get("values")
    if isinstance(values, list):
        kept = [_with_stack(name, value, libraries) for value in cast("list[Any]", values)]
        others = {key: redaction.redact_value(key, value) for key, value in known.items() if key != "values"}
        return {"values": kept, **others}
    if isinstance(known.get("frames"), list):
        return _stack(known, libraries)
    return redaction.redact_value(name, known)


def _with_stack(name: str, value: Any, libraries: bool) -> Any:  # noqa: FBT001 - handed on
    if not isinstance(value, dict):
        return redaction.redact_value(name, value)
    known = cast("Frame", value)
    said = known.get("value")
    if isinstance(said, str):
        # An error of a provider's may quote the prompt that it refused.
        kind = f"{known.get('module')}.{known.get('type')}"
        known = {**known, "value": redaction.active().of_events.quoted(kind, said)}
    return {
        key: _stack(cast("Frame", part), libraries)
        if key == "stacktrace" and isinstance(part, dict)
        else redaction.redact_value(key, part)
        for key, part in known.items()
    }


def _stack(stack: Frame, libraries: bool) -> Frame:  # noqa: FBT001 - handed on
    frames = stack.get("frames")
    if not isinstance(frames, list):
        return cast("Frame", redaction.redact_value("stacktrace", stack))
    listed = cast("list[Any]", frames)
    last = len(listed) - 1
    kept = [
        _frame(frame, keep=libraries or index == last, headed=libraries) for index, frame in enumerate(listed)
    ]
    others = {key: redaction.redact_value(key, value) for key, value in stack.items() if key != "frames"}
    return {"frames": kept, **others}


def _frame(frame: Any, *, keep: bool, headed: bool) -> Any:
    if not isinstance(frame, dict):
        return redaction.redact_value("frame", frame)
    known = cast("Frame", frame)
    variables = known.get("vars")
    static = {key: value for key, value in known.items() if key != "vars"}
    kept = _static(static)
    if variables is not None and (keep or known.get("in_app")) and not _is_of_models(known):
        unsaid = _unsaid(variables)
        return {
            **kept,
            "vars": redaction.redact_value("vars", unsaid if headed else headers.known_in(unsaid)),
        }
    return kept


def _is_of_models(frame: Frame) -> bool:
    """Whether it is code of a client of language models, whose variables are whole requests and answers."""
    return redaction.active().of_events.is_told_by(str(frame.get("module")))


def _unsaid(variables: Any) -> Any:
    """The variables without what their names say was said to a model or by one."""
    if redaction.active().of_events.policy.content or not isinstance(variables, dict):
        return variables
    from otel_kpi.redaction.quotes import VARIABLES, are_models_asked

    known = cast("Frame", variables)
    if VARIABLES.isdisjoint(known) or not are_models_asked():
        return known
    return {name: redaction.REDACTED if name in VARIABLES else value for name, value in known.items()}


def _static(static: Frame) -> Frame:
    redactor = redaction.active().of_events
    try:
        lines = [tuple(static.get(name) or ()) for name in _LINES]
        identity = hash((*map(static.get, _TEXTS), *lines)) if static.keys() <= _STATIC else None
    except TypeError:
        identity = None  # not as the SDK makes it
    if identity is None:
        return cast("Frame", redactor.value("frame", static))
    memory = _memory.of(redactor)
    if identity in memory:
        return memory[identity] or static
    kept = cast("Frame", redactor.value("frame", static))
    memory[identity] = None if kept == static else kept
    return kept
