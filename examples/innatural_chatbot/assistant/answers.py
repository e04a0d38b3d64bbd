"""Same question, same answer, same number of tokens: whoever watches knows beforehand what they should see."""

import hashlib
from dataclasses import dataclass

MODEL = "scripted-1"
SLOW = "think"
"""A question that begins with it takes longer than anybody waits."""

_PHRASES = (
    "Two drops in the evening are enough.",
    "It is pressed cold and nothing is added.",
    "Once a week, and rinse it well.",
    "Try it on a small part of the skin first.",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says, and what it costs; a word is a token here."""

    text: str
    prompt_tokens: int
    completion_tokens: int


def answer(question: str) -> Answer:
    """Answer a question."""
    said = _PHRASES[int(hashlib.sha256(question.encode()).hexdigest(), 16) % len(_PHRASES)]
    return Answer(said, len(question.split()), len(said.split()))
