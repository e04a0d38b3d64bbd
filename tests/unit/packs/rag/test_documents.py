"""What searches give: ids and scores are read from documents of any library, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from otel_kpi.packs.rag.documents import as_json, id_of, score_of, top_score


@dataclass
class Point:
    """As Qdrant and LlamaIndex have them."""

    id: Any
    score: Any
    payload: dict[str, str] = field(default_factory=lambda: {"text": "said"})


class Half:
    """A number of NumPy's kind: none of Python's own."""

    def __float__(self) -> float:
        return 0.5


@pytest.mark.parametrize(
    ("document", "identity", "score"),
    [
        ({"id": "a", "score": 0.5, "text": "said"}, "a", 0.5),
        ((Point("b", None), 0.25), "b", 0.25),
        (Point(7, 0.75), "7", 0.75),
        (Point("c", Half()), "c", 0.5),
        ({"relevance_score": 1, "index": 3}, None, 1.0),
        (Point("d", float("nan")), "d", None),
        (Point("e", True), "e", None),
        (Point("f", "0.5"), "f", None),
        ("only a text", None, None),
        ((), None, None),
        (None, None, None),
    ],
)
def test_id_and_score_of_a_document(document: Any, identity: str | None, score: float | None) -> None:
    assert id_of(document) == identity
    assert score_of(document) == score


@pytest.mark.proof
def test_documents_of_langchain_and_llama_index() -> None:
    documents = pytest.importorskip("langchain_core.documents")
    schema = pytest.importorskip("llama_index.core.schema")
    pair = (documents.Document(page_content="said", id="lc-1"), 0.5)
    node = schema.NodeWithScore(node=schema.TextNode(text="said", id_="li-1"), score=0.25)
    assert json.loads(as_json([pair, node])) == [{"id": "lc-1", "score": 0.5}, {"id": "li-1", "score": 0.25}]


def test_top_score_is_the_greatest_that_is_known() -> None:
    assert top_score([{"score": 0.1}, {"id": "a"}, {"score": 0.4}]) == 0.4
    assert top_score([{"id": "a"}]) is None
    assert top_score([]) is None


def test_many_documents_and_long_ids_are_cut() -> None:
    written = json.loads(as_json([{"id": "x" * 1000}] * 80))
    assert len(written) == 50
    assert len(written[0]["id"]) == 200
