"""What an address of the JSON API can be asked, declared once: read from the query, and described in its document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.datastructures import QueryParams

Form = Literal["text", "integer", "number", "duration", "time", "pairs", "choice", "trace id"]
_UNITS: Final = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60 * 1_000_000_000,
                 "h": 3_600 * 1_000_000_000, "d": 86_400 * 1_000_000_000}  # fmt: skip
_DURATION: Final = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*(ns|us|µs|ms|s|m|h|d)")
_LARGEST: Final = 2**63 - 1
_LONGEST: Final = 2_000
"""Characters of a parameter."""


class ParameterError(ValueError):
    """A parameter that is not what it should be.

    Attributes:
        parameter: Its name.
    """

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query.

    Attributes:
        form: `duration` is text with a unit (`250ms`), read as nanoseconds; `time` is nanoseconds since 1970, or
            ISO 8601; `pairs` can come several times, each `key=value`.
        choices: Of a `choice`.
        least: Of an integer or number.
        most: The same.
        default: Where it is not there.
    """

    name: str
    form: Form
    brief: str
    choices: tuple[str, ...] = ()
    least: float = 0
    most: float = _LARGEST
    default: Any = None

    def read(self, query: QueryParams) -> Any:
        """Its value in a query.

        Raises:
            ParameterError: It is not what it should be; the text says what that is.
        """
        texts = query.getlist(self.name)
        if self.form == "pairs":
            return tuple(self._pair(text) for text in texts)
        if not texts or not texts[-1]:
            return self.default
        if len(texts) > 1:
            raise ParameterError(self.name, f"{self.name} is there {len(texts)} times")
        text = texts[0].strip()
        if len(text) > _LONGEST or "\0" in text:
            raise ParameterError(
                self.name, f"{self.name} has at most {_LONGEST} characters, and none of them is 0"
            )
        return self._value(text)

    def _value(self, text: str) -> Any:
        match self.form:
            case "integer" | "number":
                return self._number(text)
            case "duration":
                return self._duration(text)
            case "time":
                return self._time(text)
            case "choice":
                if text not in self.choices:
                    raise self._wrong(f"one of {', '.join(self.choices)}", text)
                return text
            case "trace id":
                if not re.fullmatch(r"[0-9a-fA-F]{1,32}", text):
                    raise self._wrong("hexadecimal, 32 digits", text)
                return text.lower().zfill(32)
            case _:
                return text

    def _number(self, text: str) -> float:
        try:
            value = int(text) if self.form == "integer" else float(text)
        except ValueError:
            raise self._wrong("a whole number" if self.form == "integer" else "a number", text) from None
        if not self.least <= value <= self.most:
            raise self._wrong(f"between {self.least:g} and {self.most:g}", text)
        return value

    def _duration(self, text: str) -> int:
        found = _DURATION.fullmatch(text)
        if found is None:
            raise self._wrong("a duration with its unit, like 250ms or 1.5s", text)
        return min(_LARGEST, int(float(found[1]) * _UNITS[found[2]]))

    def _time(self, text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) < 20:  # noqa: PLR2004 - digits of the largest
            return min(_LARGEST, int(text))
        from datetime import UTC, datetime

        try:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return max(0, int(moment.timestamp() * 1_000_000) * 1_000)
        except (ValueError, OverflowError):
            raise self._wrong("nanoseconds since 1970, or a time like 2026-11-21T16:00:00Z", text) from None

    def _pair(self, text: str) -> tuple[str, str]:
        key, equals, value = text.partition("=")
        if not equals or not key or len(text) > _LONGEST:
            raise self._wrong("key=value", text)
        return key, value

    def _wrong(self, should: str, text: str) -> ParameterError:
        return ParameterError(self.name, f"{self.name} should be {should}, and is {text[:60]!r}")

    def described(self) -> dict[str, Any]:
        """As OpenAPI has it."""
        schema: dict[str, Any]
        match self.form:
            case "integer" | "number":
                schema = {"type": self.form, "minimum": self.least}
                if self.most != _LARGEST:
                    schema["maximum"] = self.most
            case "duration":
                schema = {"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["250ms"]}
            case "time":
                schema = {"type": "string", "examples": ["2026-11-21T16:00:00Z", "1795276800000000000"]}
            case "pairs":
                schema = {"type": "array", "items": {"type": "string", "pattern": "^[^=]+="}}
            case "choice":
                schema = {"type": "string", "enum": list(self.choices)}
            case "trace id":
                schema = {"type": "string", "pattern": "^[0-9a-fA-F]{1,32}$"}
            case "text":
                schema = {"type": "string", "maxLength": _LONGEST}
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
            raise ParameterError(name[:60], f"there is no parameter {name[:60]!r} here; there are: {told}")
    return {each.name: each.read(query) for each in parameters}
