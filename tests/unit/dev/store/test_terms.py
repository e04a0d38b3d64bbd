"""What is written of a text is what a search for it asks for."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_kpi.dev.store import terms


def matches(document: str, query: str) -> bool:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE fts USING fts5(t, content='', detail=none, columnsize=0)")
        connection.execute("INSERT INTO fts (rowid, t) VALUES (1, ?)", (document,))
        return bool(connection.execute("SELECT rowid FROM fts WHERE fts MATCH ?", (query,)).fetchall())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("GET /orders/{id}", "orders"),
        ("OrderError: no such order", "ordererr"),
        ("Überraschung in Köln", "koln überraschung"),
        ("注文が見つかりません", "注文"),
        ("주문 없음", "주문"),
        ("snake_case_name", "case"),
        ("a.b-c:d", "b d"),
        ("cafe\u0301 au lait", "café"),
        ('x\' OR "y" NEAR(a) *', 'x OR "y" NEAR('),
    ],
)
def test_a_text_is_found_by_its_words(text: str, query: str) -> None:
    assert matches(terms.terms_of("k", text, '""'), terms.query_of(query))


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8", max_codepoint=0x2FFF), max_size=40))
def test_no_text_breaks_the_index_or_a_search(text: str) -> None:
    query = terms.query_of(text)
    assert not query or terms.words_of(text)
    try:
        matches(terms.terms_of("k", text, '""'), query or "a")
    except sqlite3.OperationalError as error:  # letters that are younger than SQLite's tables
        assert "phrase" in str(error)  # noqa: PT017 - the one complaint there may be


def test_values_are_found_by_the_text_that_a_person_writes() -> None:
    for value, json, text in (
        (True, "true", "true"),
        (404, "404", "404"),
        (1.5, "1.5", "1.5"),
        ("x y", '"x y"', "x y"),
    ):
        assert terms.attribute_term("k", text) in terms.terms_of("k", value, json).split()
    listed = terms.terms_of("k", ["a", 2, True], '["a",2,true]').split()
    assert {terms.attribute_term("k", text) for text in ("a", "2", "true")} <= set(listed)


def test_a_megabyte_is_indexed_by_its_beginning_and_a_stack_not_at_all() -> None:
    assert len(terms.terms_of("prompt", "word " * 300_000, '""')) < 5_000
    assert terms.terms_of("exception.stacktrace", "Traceback", '"Traceback"') == ""


def test_halves_of_surrogate_pairs_are_no_fault() -> None:
    assert terms.terms_of("k\ud800", "v\ud800 w", '"v"')
    assert terms.query_of("\ud800") == ""
