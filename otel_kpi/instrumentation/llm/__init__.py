"""Calls of language models: what the official packages leave out or get wrong, and libraries that have none."""
