"""An attribute of an instrument, a span or an event, and how many values it may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Type = Literal["string", "int", "double", "boolean", "string[]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute.

    Attributes:
        name: As OpenTelemetry has it, `error.type`; in Prometheus dots become underscores.
        brief: One sentence: what it says.
        budget: Distinct values that it may have on an instrument; 0 is without limit, which no instrument allows.
        members: The values that there are, when they are known; others are recorded as `other`.
        type: Of its value; instruments have strings, whole numbers and booleans.
        examples: Values for a reader, where there are no members.
        source: Where the name comes from, when it is not ours: a convention, or a document.
        required: Whether it is always there; one that is not is left out when its value is None.
    """

    name: str
    brief: str
    budget: int = 0
    members: tuple[str, ...] = ()
    type: Type = "string"
    examples: tuple[str, ...] = ()
    source: str = ""
    required: bool = True

    @property
    def values(self) -> int:
        """Distinct values on an instrument at most, without `other`; 0 is without limit."""
        return self.budget or len(self.members)
