"""What the sources give: records with known faults, figures with known outliers. The same name gives the same data."""

import json
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

CORRUPT = "inventory"
"""The model whose feed cannot be transformed and whose figures are missing."""
JOB = "crm"
"""The model of the job that runs once; half of its records are invalid."""
_SIZES = {"marketing": 300, "sales": 200, CORRUPT: 120, JOB: 100}
MODELS = ("marketing", "sales", CORRUPT)
COLUMNS = 4
NEWEST = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
POINTS = 60


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it comes."""

    number: int
    email: str
    amount: float
    currency: str


def records(model: str) -> list[Record]:
    """Return the records of a model's feed."""
    return [
        Record(
            number,
            ""
            if _is_at(number, model, {"marketing": (20, 3), CORRUPT: (4, 1), JOB: (4, 1)})
            else f"customer-{number}@example.org",
            -1.0 if _is_at(number, model, {"marketing": (50, 7), JOB: (4, 2)}) else float(number % 90 + 10),
            "??" if _is_at(number, model, {"sales": (8, 0)}) else "EUR",
        )
        for number in range(_SIZES[model])
    ]


def text(model: str) -> str:
    """Return the feed as it is read: JSON, one record a line."""
    return "\n".join(
        json.dumps([each.number, each.email, each.amount, each.currency]) for each in records(model)
    )


def parse(feed: str) -> list[Record]:
    """Read what `text` wrote."""
    return [Record(*json.loads(line)) for line in feed.splitlines()]


def fault(record: Record) -> str | None:
    """Return what is wrong with a record, in one word, or None."""
    if not record.email:
        return "missing_email"
    if record.amount < 0:
        return "negative_amount"
    if record.currency != "EUR":
        return "unknown_currency"
    return None


def faults(model: str) -> Counter[str]:
    """Return how many records of a model have which fault."""
    return Counter(found for each in records(model) if (found := fault(each)))


def figures(model: str) -> dict[str, list[float]]:
    """Return the KPIs of a model, each with a value for each of the last days. One or two days are out of line."""
    if model == CORRUPT:
        return {}
    shift = 0.0 if model == "marketing" else 5.0
    waves = {
        "conversion_rate": [20 + shift + math.sin(day) for day in range(POINTS)],
        "bounce_rate": [40 - shift - math.sin(day) for day in range(POINTS)],
        "revenue": [100 + shift + 0.5 * day + math.cos(day / 2) for day in range(POINTS)],
    }
    waves["conversion_rate"][17] += 12
    if model == "marketing":
        waves["bounce_rate"][40] -= 6
    return waves


def _is_at(number: int, model: str, places: dict[str, tuple[int, int]]) -> bool:
    every, offset = places.get(model, (0, 0))
    return bool(every) and number % every == offset
