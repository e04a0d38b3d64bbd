"""Log records that a test asks about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, overload

from otel_kpi.testing.patterns import Pattern, fits, has

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_kpi.dev.views import LogView

_LEVELS: Final = {
    "trace": 1,
    "debug": 5,
    "info": 9,
    "warn": 13,
    "warning": 13,
    "error": 17,
    "critical": 21,
    "fatal": 21,
}


class Logs(Sequence["LogView"]):
    """Log records in the order in which they came."""

    def __init__(self, records: Iterable[LogView], asked: str = "logs()") -> None:
        self._records = list(records)
        self._asked = asked

    @overload
    def __getitem__(self, index: int) -> LogView: ...
    @overload
    def __getitem__(self, index: slice) -> Logs: ...
    def __getitem__(self, index: int | slice) -> LogView | Logs:
        return Logs(self._records[index], self._asked) if isinstance(index, slice) else self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"<{self._asked}: {len(self)} records>"

    def __str__(self) -> str:
        return (
            "\n".join(f"  {record.severity_text or '-'} {record.body}" for record in self._records)
            or "  no log records"
        )

    def where(
        self,
        body: Pattern | None = None,
        *,
        level: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Logs:
        """Those that fit all that is given.

        Args:
            body: The text, with `*` or `…` for anything; or the name of an event.
            level: This or a more severe one: `"debug"`, `"info"`, `"warning"`, `"error"`, `"critical"`.
            attributes: As in `Spans.where`.
        """
        least = _LEVELS[level.lower()] if level is not None else 0
        return Logs(
            (
                record
                for record in self._records
                if (fits(record.body, body) or (record.event_name and fits(record.event_name, body)))
                and record.severity >= least
                and has(record.attributes, attributes or {})
            ),
            f"logs({body!r})" if body is not None else "logs()",
        )

    def one(self) -> LogView:
        """The only one.

        Raises:
            AssertionError: There are none or several.
        """
        if len(self._records) != 1:
            raise AssertionError(f"{self._asked} found {len(self)} log records, not one:\n{self}")
        return self._records[0]
