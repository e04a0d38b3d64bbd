"""What the traffic causes, or what a store holds: numbers under names, so that two of them can be compared."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

SHOP, BACKOFFICE, ASSISTANT, ETL = (
    "storefront-shop",
    "storefront-backoffice",
    "storefront-assistant",
    "storefront-etl",
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Five books. A key says who did what, in words: `storefront-shop GET /products 200`."""

    requests: Counter[str] = field(default_factory=Counter[str])
    statements: Counter[str] = field(default_factory=Counter[str])
    errors: Counter[str] = field(default_factory=Counter[str])
    log_records: Counter[str] = field(default_factory=Counter[str])
    etl_records: Counter[str] = field(default_factory=Counter[str])

    def to_json(self) -> str:
        """Return the books with a total each."""
        books: dict[str, Counter[str]] = {each.name: getattr(self, each.name) for each in fields(self)}
        return json.dumps(
            {name: {"total": book.total(), "of": book} for name, book in books.items()}, indent=2
        )

    @classmethod
    def from_json(cls, text: str) -> "Ledger":
        """Read what `to_json` wrote."""
        return cls(**{name: Counter(book["of"]) for name, book in json.loads(text).items()})


def request(service: str, method: str, route: str, status: int) -> str:
    """The key of a request in the book of requests."""
    return f"{service} {method} /{route.lstrip('/')} {status}"


def statement(service: str, entry: str) -> str:
    """The key of a statement: which service sent it, on account of which request or run."""
    return f"{service} for {entry}"


def differences(expected: Ledger, found: Ledger, books: Iterable[str] | None = None) -> list[str]:
    """Return a line for every number that is not as expected; nothing when all are."""
    lines: list[str] = []
    for name in books or [each.name for each in fields(Ledger)]:
        want: Counter[str] = getattr(expected, name)
        got: Counter[str] = getattr(found, name)
        lines += [
            f"{name}: {key}: expected {want[key]}, got {got[key]}"
            for key in sorted(want.keys() | got.keys())
            if want[key] != got[key]
        ]
    return lines
