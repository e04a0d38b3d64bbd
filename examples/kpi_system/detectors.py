"""Statistics, and nothing else: outliers by three methods, correlation, trend. Pure functions over numbers."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

THRESHOLD = 3.0
"""Standard deviations from which a z-score is an anomaly."""
MODIFIED_THRESHOLD = 3.5
"""Iglewicz and Hoaglin's for the modified z-score."""
FENCE = 1.5
"""Tukey's: quartile ranges beyond the quartiles."""

SEVERITIES = {"critical": 4.0, "high": 2.0, "medium": 1.2}
"""How many times the threshold a score has to be."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A value that is out of line.

    Attributes:
        place: Its index.
        score: How far, in the measure of the method.
        severity: How much that matters.
    """

    place: int
    score: float
    severity: str


def zscore(values: Sequence[float]) -> list[Outlier]:
    """Return the values that are three standard deviations or more from the mean."""
    mean, deviation = statistics.fmean(values), statistics.pstdev(values)
    return _beyond([(value - mean) / deviation if deviation else 0.0 for value in values], THRESHOLD)


def modified_zscore(values: Sequence[float]) -> list[Outlier]:
    """Return the values that are far from the median, in median absolute deviations: outliers do not move these."""
    median = statistics.median(values)
    deviation = statistics.median(abs(value - median) for value in values)
    return _beyond(
        [0.6745 * (value - median) / deviation if deviation else 0.0 for value in values], MODIFIED_THRESHOLD
    )


def iqr(values: Sequence[float]) -> list[Outlier]:
    """Return the values beyond Tukey's fences; the score is in quartile ranges beyond the quartile."""
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    width = third - first
    scores = [max(first - value, value - third, 0.0) / width if width else 0.0 for value in values]
    return _beyond(scores, FENCE)


METHODS: dict[str, Callable[[Sequence[float]], list[Outlier]]] = {
    "zscore": zscore,
    "iqr": iqr,
    "modified_zscore": modified_zscore,
}


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Pearson's coefficient."""
    return statistics.correlation(one, other)


def direction(values: Sequence[float]) -> str:
    """Return `up`, `down` or `stable`: a trend is a line that rises or falls by half of the spread."""
    slope = statistics.linear_regression(range(len(values)), values).slope * len(values)
    if math.isclose(slope, 0.0) or abs(slope) < 0.5 * (max(values) - min(values)):
        return "stable"
    return "up" if slope > 0 else "down"


def severity(score: float, threshold: float) -> str:
    """Return how much a score matters, by how many times the threshold it is."""
    times = abs(score) / threshold
    return next((word for word, least in SEVERITIES.items() if times >= least), "low")


def _beyond(scores: Sequence[float], threshold: float) -> list[Outlier]:
    return [
        Outlier(place, score, severity(score, threshold))
        for place, score in enumerate(scores)
        if abs(score) >= threshold
    ]
