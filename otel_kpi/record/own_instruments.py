"""What the handles say of themselves: values that were not recorded, and values that had no room."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter

DROPPED_VALUES: Final = Counter(
    name="otel_kpi.dropped_values",
    unit="{value}",
    brief="Values that were not recorded, since they make no sense for their instrument.",
    attributes=(
        Attribute(
            name="instrument",
            brief="Name of the instrument.",
            budget=200,
            examples=("kpi.etl.quality_score",),
        ),
        Attribute(
            name="reason",
            brief="What was wrong with the value.",
            members=(
                "not_a_number",
                "not_finite",
                "negative",
                "out_of_range",
                "currency_beyond_budget",
                "too_large",
                "error",
            ),
        ),
    ),
    source="STYLE: the one place where an error is swallowed counts it",
    series=500,
)
OVERFLOWED_VALUES: Final = Counter(
    name="otel_kpi.overflowed_values",
    unit="{value}",
    brief="Values that were recorded under `other`, since their attribute has no room for more, or no such member.",
    attributes=(
        Attribute(
            name="instrument",
            brief="Name of the instrument.",
            budget=200,
            examples=("kpi.etl.quality_score",),
        ),
        Attribute(name="attribute", brief="Name of the attribute.", budget=100, examples=("model_name",)),
    ),
    source="E4",
    series=500,
)
