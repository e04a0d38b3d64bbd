"""What an address can be asked, declared once: read from the query, and described in the document of the JSON API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from otel_kpi.dev import literals
from otel_kpi.dev.literals import LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.datastructures import QueryParams

Form = Literal["text", "integer", "duration", "time", "place", "choice", "trace id", "pairs"]
_LONGEST: Final = 2_000
"""Characters of a parameter."""


class ParameterError(ValueError):
    """A parameter that is not what it should be; the text says so to who asks.

    Attributes:
        parameter: Its name; empty where the API has no place for it beside the text.
    """

    def __init__(self, message: str, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter


class _Reading(NamedTuple):
    """How a form is read.

    Attributes:
        read: None of what is not of the form.
        should: What it should be, for who gave something else.
        schema: As OpenAPI has it.
    """

    read: Callable[[str], Any]
    should: str
    schema: Mapping[str, Any]


def _text(text: str) -> str | None:
    return None if len(text) > _LONGEST or "\0" in text else text


def _pair(text: str) -> tuple[str, str] | None:
    key, equals, value = text.partition("=")
    return (key, value) if equals and key and _text(text) is not None else None


_READINGS: Final[dict[Form, _Reading]] = {
    "text": _Reading(
        _text, f"of {_LONGEST} characters at most, and none of them is 0", {"type": "string", "maxLength": _LONGEST}
    ),
    "integer": _Reading(literals.whole, "", {"type": "integer"}),  # what it should be, the parameter itself says
    "duration": _Reading(
        literals.duration, "a duration with its unit, like 250ms or 1.5s",
        {"type": "string", "pattern": f"^{literals.DURATION}$", "examples": ["250ms"]},
    ),
    "time": _Reading(
        literals.moment, "nanoseconds since 1970, or a time like 2026-11-21T16:00:00Z",
        {"type": "string", "examples": ["2026-11-21T16:00:00Z", "1795276800000000000"]},
    ),
    "place": _Reading(literals.place, "what an answer gave", {"type": "string", "pattern": "^[0-9]+-[0-9]+$"}),
    "choice": _Reading(_text, "", {"type": "string"}),  # the same
    "trace id": _Reading(
        literals.trace_id, "hexadecimal, 32 digits", {"type": "string", "pattern": "^[0-9a-fA-F]{1,32}$"}
    ),
    "pairs": _Reading(_pair, "key=value", {"type": "array", "items": {"type": "string", "pattern": "^[^=]+="}}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query.

    Attributes:
        form: `duration` is text with a unit (`250ms`), read as nanoseconds; `time` is nanoseconds since 1970, or
            ISO 8601; `place` is where a list goes on; `pairs` can come several times, each `key=value`.
        choices: Of a `choice`.
        least: Of an integer.
        most: The same.
        default: Where it is not there.
    """

    name: str
    form: Form
    brief: str
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = LARGEST
    default: Any = None

    def read(self, query: QueryParams) -> Any:
        """Its value in a query.

        Raises:
            ParameterError: It is not what it should be; the text says what that is.
        """
        texts = query.getlist(self.name)
        if self.form == "pairs":
            return tuple(self.value(text) for text in texts)
        if not texts or not texts[-1]:
            return self.default
        if len(texts) > 1:
            raise ParameterError(f"{self.name} is there {len(texts)} times", self.name)
        return self.value(texts[0].strip())

    def value(self, text: str) -> Any:
        """What a text says.

        Raises:
            ParameterError: As in `read`.
        """
        value = _READINGS[self.form].read(text)
        fits = value is not None
        if self.form == "choice":
            fits = value in self.choices
        elif self.form == "integer":
            fits = fits and self.least <= value <= self.most
        if not fits:
            raise ParameterError(f"{self.name} should be {self._should}, and is {text[:60]!r}", self.name)
        return value

    @property
    def _should(self) -> str:
        match self.form:
            case "choice":
                return f"one of {', '.join(self.choices)}"
            case "integer":
                return f"a whole number between {self.least} and {self.most}"
            case _:
                return _READINGS[self.form].should

    def described(self) -> dict[str, Any]:
        """As OpenAPI has it."""
        schema = dict(_READINGS[self.form].schema)
        if self.form == "integer":
            schema["minimum"] = self.least
            if self.most != LARGEST:
                schema["maximum"] = self.most
        if self.form == "choice":
            schema["enum"] = list(self.choices)
        if self.default is not None:
            schema["default"] = self.default
        shown: dict[str, Any] = {
            "name": self.name,
            "in": "query",
            "description": self.brief,
            "required": False,
            "schema": schema,
        }
        return shown | ({"style": "form", "explode": True} if self.form == "pairs" else {})


def read(parameters: Sequence[Parameter], query: QueryParams) -> Mapping[str, Any]:
    """All of them.

    Raises:
        ParameterError: One is not what it should be, or is not known.
    """
    known = {each.name for each in parameters}
    for name in query:
        if name not in known:
            told = ", ".join(sorted(known)) or "none"
            raise ParameterError(f"there is no parameter {name[:60]!r} here; there are: {told}", name[:60])
    return {each.name: each.read(query) for each in parameters}
