"""What a search gave, whatever library did it: ids and scores of documents. Pure functions.

Known shapes: mappings, pairs of document and score, LangChain's `Document`, LlamaIndex's `NodeWithScore`, the points
of vector databases. What has another shape is a document without id and score.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, cast

_MOST: Final = 50
"""Documents that are written down; there may be any number."""
_LONGEST: Final = 200
"""Characters of an id."""
_SCORES: Final = ("score", "relevance_score", "similarity")
_IDS: Final = ("id", "id_", "node_id", "document_id")
_PAIR: Final = 2


def score_of(document: Any) -> float | None:
    """The score of a document; None where it has none that is a finite number. May raise what the document raises."""
    if isinstance(document, tuple):
        pair = cast("tuple[Any, ...]", document)
        return _number(pair[1]) if len(pair) == _PAIR else None
    for name in _SCORES:
        score = _number(_of(document, name))
        if score is not None:
            return score
    return None


def id_of(document: Any) -> str | None:
    """The id of a document; None where it has none."""
    if isinstance(document, tuple):
        pair = cast("tuple[Any, ...]", document)
        return id_of(pair[0]) if pair else None
    for name in _IDS:
        found = _of(document, name)
        if isinstance(found, str | int) and not isinstance(found, bool):
            return str(found)[:_LONGEST]
    return None


def top_score(documents: list[Any]) -> float | None:
    """The greatest score; None where no document has one."""
    scores = [score for score in map(score_of, documents) if score is not None]
    return max(scores, default=None)


def as_json(documents: list[Any]) -> str:
    """Ids and scores of the first 50, as the convention has them; never what is in a document."""
    written: list[dict[str, Any]] = []
    for document in documents[:_MOST]:
        known = {"id": id_of(document), "score": score_of(document)}
        written.append({name: value for name, value in known.items() if value is not None})
    return json.dumps(written, ensure_ascii=False, separators=(",", ":"))


def message(role: str, text: Any) -> str:
    """One message of a text, as the convention has messages on spans. May raise what the text raises."""
    part = {"type": "text", "content": str(text)}
    return json.dumps([{"role": role, "parts": [part]}], ensure_ascii=False, separators=(",", ":"))


def _of(document: Any, name: str) -> Any:
    if isinstance(document, Mapping):
        return cast("Mapping[str, Any]", document).get(name)
    return getattr(document, name, None)


def _number(value: Any) -> float | None:
    # NumPy's numbers are none of Python's, and have `__float__`.
    if value is None or isinstance(value, str | bytes | bool) or not hasattr(value, "__float__"):
        return None
    number = float(value)
    return number if math.isfinite(number) else None
