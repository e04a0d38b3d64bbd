"""Where series are read: by how much each rose in a time. Prometheus' HTTP API; another store is another `Source`.

`increase()` guesses what lay beyond its samples, which of a script that ran for five seconds makes half as much again.
Here it is the last value less the one at the beginning; where a process began again in between, sample by sample.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_kpi.spending.period import Period

    Labels = tuple[tuple[str, str], ...]

_SAMPLE_BY_SAMPLE: Final = 3 * 3600
"""Seconds that are read whole when something began again in them; a longer time is halved first."""
_BEFORE: Final = "1d"
"""How long before the beginning a last value is looked for."""
_TIMEOUT: Final = 30.0
_PART: Final = "otel_kpi_part"


class SourceError(Exception):
    """It cannot be read; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Query:
    """By how much the series of a counter rose.

    Attributes:
        metric: Its name in Prometheus.
        period: When.
        labels: Only those with these values.
    """

    metric: str
    period: Period
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Series:
    """One series.

    Attributes:
        labels: Without its name.
        value: By how much it rose; or, of `latest`, its value.
    """

    labels: Mapping[str, str]
    value: Decimal


class Source(Protocol):
    """Where series are kept."""

    def read(self, query: Query) -> list[Series]:
        """By how much each series rose; one that did not is there with 0.

        Raises:
            SourceError: It cannot be read.
        """
        ...

    def latest(self, names: Iterable[str], labels: Mapping[str, str]) -> dict[str, list[Series]]:
        """The newest values of gauges by their names; those that are five minutes old are none.

        Raises:
            SourceError: It cannot be read.
        """
        ...


class Prometheus:
    """Prometheus, or what speaks its HTTP API.

    Args:
        url: Its address, with whatever path and user it needs.
    """

    def __init__(self, url: str) -> None:
        import urllib3

        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SourceError(f"{url!r} is no address of a Prometheus: http://localhost:9090 is one")
        user = f"{parts.username}:{parts.password or ''}" if parts.username else None
        self._headers = urllib3.make_headers(basic_auth=user)
        host = parts.netloc.rpartition("@")[2]
        self.url = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
        # Not through a proxy, and asked again once where a kept connection was closed meanwhile.
        self._pool = urllib3.PoolManager(
            retries=urllib3.Retry(1, redirect=3, status=0, raise_on_status=False)
        )

    def read(self, query: Query) -> list[Series]:
        """By how much each series rose in a time."""
        found = self._rises(query.metric, query.period.start, query.period.end, _matchers(query.labels))
        return [Series(dict(labels), rise) for labels, rise in found.items()]

    def latest(self, names: Iterable[str], labels: Mapping[str, str]) -> dict[str, list[Series]]:
        """The newest values of gauges by their names."""
        any_of = "|".join(names)
        matchers = ",".join((f'__name__=~"{any_of}"', *filter(None, (_matchers(labels),))))
        found: dict[str, list[Series]] = {}
        for metric, value in self._instant(f"{{{matchers}}}"):
            name = metric.pop("__name__", "")
            found.setdefault(name, []).append(Series(metric, value))
        return found

    def _rises(self, metric: str, start: int, end: int, matchers: str) -> dict[Labels, Decimal]:
        selector = f"{metric}{{{matchers}}}"
        window = f"[{end - start}s] @ {end}"
        parts = {
            "last": f"last_over_time({selector}{window})",
            "before": f"last_over_time({selector}[{_BEFORE}] @ {start})",
            "least": f"min_over_time({selector}{window})",
            "resets": f"resets({selector}{window}) > 0",
        }
        union = " or ".join(
            f'label_replace({each}, "{_PART}", "{name}", "", "")' for name, each in parts.items()
        )
        known: dict[Labels, dict[str, Decimal]] = {}
        for labels, value in self._instant(union):
            labels.pop("__name__", None)
            part = labels.pop(_PART)
            known.setdefault(tuple(sorted(labels.items())), {})[part] = value
        rises: dict[Labels, Decimal] = {}
        anew: list[Labels] = []
        for labels, values in known.items():
            last, least, before = values.get("last"), values.get("least"), values.get("before")
            if last is None or least is None:
                continue  # heard of before this time only
            if "resets" in values or (before is not None and least < before):
                anew.append(labels)
            else:
                rises[labels] = last - (least if before is None else before)
        if anew:
            rises |= self._after_all(metric, start, end, matchers, anew, known)
        return rises

    def _after_all(  # noqa: PLR0913, PLR0917 - what was asked, and what is known of the answer
        self,
        metric: str,
        start: int,
        end: int,
        matchers: str,
        anew: list[Labels],
        known: Mapping[Labels, Mapping[str, Decimal]],
    ) -> dict[Labels, Decimal]:
        """The series that began again, by smaller times, and at last by their samples."""
        instances = sorted({dict(labels).get("instance", "") for labels in anew})
        only = "|".join(map(_literal, instances))
        # One matcher of each label may be there twice: both have to fit.
        matchers = ",".join(filter(None, (matchers, f'instance=~"{only}"')))
        wanted = set(anew)
        if end - start > _SAMPLE_BY_SAMPLE:
            middle = (start + end) // 2
            rises: dict[Labels, Decimal] = {}
            for half in ((start, middle), (middle, end)):
                for labels, rise in self._rises(metric, *half, matchers).items():
                    if labels in wanted:
                        rises[labels] = rises.get(labels, Decimal(0)) + rise
            return rises
        rises = {}
        for labels, samples in self._samples(f"{metric}{{{matchers}}}[{end - start}s] @ {end}"):
            if labels in wanted:
                rises[labels] = _risen(known[labels].get("before"), samples)
        return rises

    # --- the HTTP API

    def _instant(self, expression: str) -> list[tuple[dict[str, str], Decimal]]:
        found: list[tuple[dict[str, str], Decimal]] = []
        for each in self._ask(expression, "vector"):
            value = _number(each["value"][1])
            if value is not None:
                found.append((dict(each["metric"]), value))
        return found

    def _samples(self, expression: str) -> list[tuple[Labels, list[Decimal]]]:
        found: list[tuple[Labels, list[Decimal]]] = []
        for each in self._ask(expression, "matrix"):
            labels = {key: value for key, value in each["metric"].items() if key != "__name__"}
            numbers = (_number(text) for _, text in each.get("values", ()))
            found.append((tuple(sorted(labels.items())), [value for value in numbers if value is not None]))
        return found

    def _ask(self, expression: str, kind: str) -> list[dict[str, Any]]:
        import urllib3

        try:
            answer = self._pool.request(
                "POST",
                f"{self.url}/api/v1/query",
                body=urlencode({"query": expression, "timeout": f"{_TIMEOUT:.0f}s"}),
                headers={**self._headers, "Content-Type": "application/x-www-form-urlencoded"},
                timeout=urllib3.Timeout(connect=5.0, read=_TIMEOUT + 5),
            )
        except urllib3.exceptions.HTTPError as error:
            raise SourceError(f"no Prometheus answers at {self.url}: {_reason(error)}") from error
        try:
            body: Any = json.loads(answer.data)
            if body["status"] == "success":
                data = body["data"]
                if data["resultType"] != kind:
                    raise SourceError(f"{self.url} gave a {data['resultType']} where a {kind} was asked for")
                return cast("list[dict[str, Any]]", data["result"])
            said = f"{body['errorType']}: {body['error']}"
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"what answers at {self.url} is no Prometheus: status {answer.status} and no JSON of its API"
            ) from error
        raise SourceError(f"Prometheus at {self.url} refused a question ({said})")


def _matchers(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())


def _literal(text: str) -> str:
    """A text as a regular expression of Go's within quotes of PromQL."""
    escaped = "".join(f"\\{letter}" if letter in r"\.+*?()|[]{}^$" else letter for letter in text)
    return json.dumps(escaped, ensure_ascii=False)[1:-1]


def _number(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _risen(before: Decimal | None, samples: list[Decimal]) -> Decimal:
    """By how much a counter rose: where it fell, it began again at 0."""
    rise = Decimal(0)
    last = before
    for value in samples:
        if last is not None:
            rise += value - last if value >= last else value
        last = value
    return rise


def _reason(error: BaseException) -> str:
    """What is at the bottom of an error of urllib3, in a few words."""
    cause = getattr(error, "reason", None) or error
    while isinstance(
        inner := getattr(cause, "__cause__", None) or getattr(cause, "__context__", None), OSError
    ):
        cause = inner
    return getattr(cause, "strerror", None) or type(cause).__name__.removesuffix("Error")
