"""Addresses as they are shown."""

from __future__ import annotations


def without_user(url: str) -> str:
    """The address without user and password."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
