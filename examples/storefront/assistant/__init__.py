"""Stands where a language model would: the same HTTP interface, answers from a script."""
