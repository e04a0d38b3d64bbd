"""Errors in Bugsink: issues, and every single event of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from storefront.audit.stores import get
from storefront.ledger import Ledger

PROJECT = 1


@dataclass(frozen=True, slots=True)
class Event:
    """One captured error; `service` and `version` are the two halves of the release."""

    service: str
    version: str
    type: str
    trace_id: str
    span_id: str


class Events:
    """The events of one environment. An event does not change, so each is fetched once."""

    def __init__(self, api: str, token: str, environment: str) -> None:
        self._api = api
        self._token = token
        self._environment = environment
        self._known: dict[str, Event | None] = {}

    def read(self) -> list[Event]:
        """Return what is there by now."""
        for issue in self._pages("/issues/", {"project": PROJECT}):
            for event in self._pages("/events/", {"issue": issue["id"]}):
                if event["id"] not in self._known:
                    detail = get(f"{self._api}/events/{event['id']}/", token=self._token)
                    self._known[event["id"]] = _read(detail["data"], self._environment)
        return [event for event in self._known.values() if event is not None]

    def count(self) -> Ledger:
        """Make the book of errors."""
        books = Ledger()
        books.errors.update(f"{event.service} {event.type}" for event in self.read())
        return books

    def _pages(self, path: str, parameters: dict[str, str | int]) -> Iterator[dict[str, Any]]:
        page = get(f"{self._api}{path}", parameters, token=self._token)
        yield from page["results"]
        while page["next"]:
            page = get(page["next"], token=self._token)
            yield from page["results"]


def _read(data: dict[str, Any], environment: str) -> Event | None:
    if data.get("environment") != environment:
        return None
    service, _, version = str(data.get("release", "")).partition("@")
    values = data.get("exception", {}).get("values") or [{"type": data.get("level", "message")}]
    context = data.get("contexts", {}).get("trace", {})
    return Event(
        service, version, str(values[-1]["type"]), context.get("trace_id", ""), context.get("span_id", "")
    )
