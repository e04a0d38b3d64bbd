"""Each page is a module with `ROUTES`: what it asks of the store, and which template draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

ROUTES: Final[list[BaseRoute]] = []
