"""What is said: sentences out of the prompt itself, so that the same question always has the same answer."""

import hashlib
import re
from collections.abc import Iterable, Iterator

EVERYTHING = "everything"
"""A question with this word is answered with all there is, and as a stream without an end."""
SLOW = "think"
"""A question that begins with it takes longer than anybody waits."""
NOTHING = "I have nothing on that; please ask a person."
SENTENCES = 2
LETTERS_A_TOKEN = 4
A_MESSAGE = 4
"""Tokens that each message costs at OpenAI beside its text."""
WORDS_A_CHUNK = 3
DIMENSIONS = 64


def answer(known: Iterable[str], question: str) -> str:
    """Answer with the sentences that have most words in common with the question, in their order.

    Args:
        known: Everything that came before the question: instructions, documents, what was said.
        question: The last message.
    """
    asked = _words(question)
    sentences = list(dict.fromkeys(each for text in known for each in _sentences(text)))
    if EVERYTHING in asked:
        return " ".join(sentences) or NOTHING
    fitting = [each for each in sentences if asked & _words(each)]
    best = sorted(fitting, key=lambda each: -len(asked & _words(each)))[:SENTENCES]
    return " ".join(each for each in sentences if each in best) or NOTHING


def is_endless(question: str) -> bool:
    """Whether a streamed answer goes on until nobody listens any more."""
    return EVERYTHING in _words(question)


def chunks(text: str) -> Iterator[str]:
    """An answer as a stream brings it: a few words at a time, which together are the text again."""
    pieces = re.findall(r"\S+\s*", text)
    for begin in range(0, len(pieces), WORDS_A_CHUNK):
        yield "".join(pieces[begin : begin + WORDS_A_CHUNK])


def tokens(text: str) -> int:
    """How many tokens a text has: four letters each, as the rule of thumb goes."""
    return -(-len(text) // LETTERS_A_TOKEN)


def prompt_tokens(messages: Iterable[str]) -> int:
    """How many tokens a prompt has for OpenAI."""
    return sum(tokens(each) + A_MESSAGE for each in messages)


def embedding(text: str) -> list[float]:
    """A vector in which texts with the same words are near each other."""
    vector = [0.0] * DIMENSIONS
    for word in _words(text):
        vector[int(hashlib.sha256(word.encode()).hexdigest(), 16) % DIMENSIONS] += 1.0
    length = sum(each * each for each in vector) ** 0.5 or 1.0
    return [each / length for each in vector]


def _sentences(text: str) -> list[str]:
    body = " ".join(line for line in text.splitlines() if not line.startswith("#"))
    return [each.strip() for each in re.split(r"(?<=[.!?])\s+", body) if each.strip()]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{5,}", text.lower()))
