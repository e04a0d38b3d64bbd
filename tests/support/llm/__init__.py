"""Providers of language models, scripted: one server on loopback that answers in the format of whoever is asked."""

from support.llm.answers import Answer, Asked, Reply
from support.llm.provider import ScriptedProvider

__all__ = ["Answer", "Asked", "Reply", "ScriptedProvider"]
