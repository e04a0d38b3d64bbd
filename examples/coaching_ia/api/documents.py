"""What the coach knows: the documents of the club, found by their vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "documents"
INSTRUCTIONS = (FOLDER / "instructions.txt").read_text(encoding="utf-8")
NEAR = 0.1
"""Similarity below which a document says nothing about a question."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A document, and how near it is to the question: 0 to 1."""

    document: Document
    score: float


class Index:
    """Documents with their vectors, which are all of length one."""

    def __init__(self, documents: Sequence[Document], vectors: Sequence[Sequence[float]]) -> None:
        self._held = list(zip(documents, vectors, strict=True))

    def nearest(self, vector: Sequence[float]) -> list[Hit]:
        """What is near to a question, the nearest first."""
        hits = [
            Hit(document, sum(mine * theirs for mine, theirs in zip(own, vector, strict=True)))
            for document, own in self._held
        ]
        return sorted((hit for hit in hits if hit.score >= NEAR), key=lambda hit: -hit.score)


def read() -> list[Document]:
    """All documents, by their names."""
    return [Document(each.stem, each.read_text(encoding="utf-8")) for each in sorted(FOLDER.glob("*.md"))]
