"""What a pack raises into the application, which it only does where the application asked for it."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - what happened, and no error of anybody's
    """Something is not done, as the application wished. Boundaries of instrumentors let it through."""
