"""Stands where OpenAI and Anthropic would: their HTTP, answers that are always the same, and a bill of its own."""
