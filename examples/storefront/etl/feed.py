"""A supplier's price list: how it is made for the example, and what is wrong with it on purpose."""

import csv
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

FEEDS = {"spring": 600, "autumn": 1000}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file, as text."""

    sku: str
    price: str
    currency: str


def make(name: str) -> list[Row]:
    """Return the rows of a feed; the same name always gives the same rows."""
    chance = random.Random(name)
    rows: list[Row] = []
    for i in range(FEEDS[name]):
        price, currency = f"{chance.randrange(500, 20_000) / 100:.2f}", "EUR"
        match chance.randrange(40):
            case 0:
                price = ""
            case 1:
                price = f"-{price}"
            case 2:
                currency = "??"
            case _:
                pass
        rows.append(Row(f"SUP-{i:05}", price, currency))
    return rows


def fault(row: Row) -> str | None:
    """Return what is wrong with a row, in one of three words, or None."""
    if not row.price:
        return "missing_price"
    if row.price.startswith("-"):
        return "negative_price"
    if row.currency != "EUR":
        return "unknown_currency"
    return None


def faults(name: str) -> Counter[str]:
    """Return how many rows of a feed have which fault."""
    return Counter(found for row in make(name) if (found := fault(row)))


def write(folder: Path) -> None:
    """Write every feed as CSV into a folder. Part of the set-up."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FEEDS:
        with (folder / f"{name}.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(("sku", "price", "currency"))
            lines.writerows((row.sku, row.price, row.currency) for row in make(name))


def read(path: Path) -> list[Row]:
    """Read a feed that `write` wrote."""
    with path.open(newline="") as file:
        return [Row(**line) for line in csv.DictReader(file)]
