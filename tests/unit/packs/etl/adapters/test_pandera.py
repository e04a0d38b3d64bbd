"""What a check found is counted by check; the values that failed it stay where they are."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pandera.pandas as pa
import pandera.polars as pp
import polars as pl
import pytest

from otel_kpi.packs.etl.adapters import Failed, failed

ROWS = {"email": ["secret-1", "b@x", "secret-2"], "age": [-1, 42, 53], "plan": ["gold", "lead", "gold"]}
CHECKS = ("str_contains", "isin", "greater_than_or_equal_to", "field_uniqueness")


def _schema(library: Any) -> Any:
    return library.DataFrameSchema(
        {
            "email": library.Column(str, library.Check.str_contains("@")),
            "age": library.Column(int, library.Check.ge(0)),
            "plan": library.Column(str, [library.Check.isin(["gold", "silver"])], unique=True),
        }
    )


@pytest.mark.parametrize(
    ("library", "frame"), [(pa, pd.DataFrame), (pp, pl.DataFrame)], ids=["pandas", "polars"]
)
def test_failures_are_counted_by_check_and_column(library: Any, frame: Any) -> None:
    with pytest.raises(library.errors.SchemaErrors) as caught:
        _schema(library).validate(frame(ROWS), lazy=True)
    found = failed(caught.value.failure_cases)
    assert {each for each in found if each.check != "field_uniqueness"} == {
        Failed("str_contains", "email", 2),
        Failed("greater_than_or_equal_to", "age", 1),
        Failed("isin", "plan", 1),
    }
    # pandera reports every duplicate for pandas, and all of a column as one for polars.
    (unique,) = [each for each in found if each.check == "field_uniqueness"]
    assert unique.column == "plan"
    assert found == failed(caught.value), "the error itself says the same"


@pytest.mark.parametrize(
    ("library", "frame"), [(pa, pd.DataFrame), (pp, pl.DataFrame)], ids=["pandas", "polars"]
)
def test_no_value_of_the_data_and_none_of_the_checks_is_taken(library: Any, frame: Any) -> None:
    with pytest.raises(library.errors.SchemaErrors) as caught:
        _schema(library).validate(frame(ROWS), lazy=True)
    text = repr(failed(caught.value))
    for value in ("secret", "gold", "silver", "lead", "@"):
        assert value not in text


@pytest.mark.parametrize(
    ("library", "frame"), [(pa, pd.DataFrame), (pp, pl.DataFrame)], ids=["pandas", "polars"]
)
def test_first_failure_of_a_check_that_is_not_lazy_is_known(library: Any, frame: Any) -> None:
    with pytest.raises(library.errors.SchemaError) as caught:
        _schema(library).validate(frame(ROWS))
    assert failed(caught.value) == (Failed("str_contains", "email", 2),)


def test_nothing_is_checked_again() -> None:
    calls: list[int] = []

    def positive(column: Any) -> Any:
        calls.append(len(column))
        return column >= 0

    schema = pa.DataFrameSchema({"age": pa.Column(int, pa.Check(positive))})
    with pytest.raises(pa.errors.SchemaErrors) as caught:
        schema.validate(pd.DataFrame(ROWS), lazy=True)
    before = len(calls)
    assert failed(caught.value) == (Failed("positive", "age", 1),)
    assert len(calls) == before


def test_columns_and_types_that_are_wrong_are_checks_too() -> None:
    schema = pa.DataFrameSchema({"missing": pa.Column(int), "email": pa.Column(int)})
    with pytest.raises(pa.errors.SchemaErrors) as caught:
        schema.validate(pd.DataFrame(ROWS), lazy=True)
    assert {(each.check, each.column) for each in failed(caught.value)} == {
        ("column_in_dataframe", None),
        ("dtype", "email"),
    }


def test_message_in_place_of_a_name_is_cut() -> None:
    schema = pa.DataFrameSchema(
        {"age": pa.Column(int, pa.Check.ge(0, error="age must not be below zero " * 9))}
    )
    with pytest.raises(pa.errors.SchemaErrors) as caught:
        schema.validate(pd.DataFrame(ROWS), lazy=True)
    (only,) = failed(caught.value)
    assert only.check.startswith("age must not")
    assert len(only.check) <= 60


def test_rows_as_mappings_are_counted_too() -> None:
    rows = [
        {"check": "not_null", "column": "email"},
        {"check": "not_null", "column": "email"},
        {"check": "rows"},
    ]
    assert failed(rows) == (Failed("not_null", "email", 2), Failed("rows", None, 1))


@pytest.mark.parametrize("cases", [None, 7, "text", [1], object(), pd.DataFrame({"a": [1]}), ValueError("x")])
def test_anything_else_is_no_failure_that_is_known(cases: Any) -> None:
    assert sum(each.count for each in failed(cases)) <= 1
