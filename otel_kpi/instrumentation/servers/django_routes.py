"""Routes of Django that are regular expressions, as `path()` would write them. Pure.

Django REST framework's routers and `re_path` leave `^api/projects/(?P<pk>[^/.]+)/$`; upstream takes it as it is.
What is read here is what Django's own documentation of an admin site makes of it, with two differences: no slash is
put in front, and what varies without a group is `<var>` too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_EXPRESSION: Final = frozenset("^$\\(")
"""What no route of `path()` has; one without any of them is left as it is."""
_NAMED: Final = re.compile(r"\(\?P<(\w+)>")
_QUANTIFIER: Final = re.compile(r"(?:[*+?]|\{\d*,?\d*\})[?+]?")
_ANCHORS: Final = frozenset("AZbB")
_CLASSES: Final = frozenset("dDwWsS")
_VARIABLE: Final = "<var>"


@lru_cache(maxsize=1024)
def readable(route: str) -> str:
    """Give a route without the signs of a regular expression: `api/projects/<pk>/`."""
    if _EXPRESSION.isdisjoint(route):
        return route
    parts: list[str] = []
    at = 0
    while at < len(route):
        text, at = _part(route, at)
        quantifier = _QUANTIFIER.match(route, at)
        if quantifier is not None:
            at = quantifier.end()
            text = _VARIABLE if text == "." else text
        if text != _VARIABLE or parts[-1:] != [_VARIABLE]:
            parts.append(text)
    return "".join(parts)


def _part(route: str, at: int) -> tuple[str, int]:
    """Give what the part at a position is read as, and where the next one begins."""
    sign = route[at]
    if sign == "\\":
        escaped = route[at + 1 : at + 2]
        shown = "" if escaped in _ANCHORS else _VARIABLE if escaped in _CLASSES else escaped
        return shown, at + 2
    if sign == "(":
        named = _NAMED.match(route, at)
        if named is not None:
            return f"<{named[1]}>", _after_group(route, at)
        return "" if route.startswith("(?", at) else _VARIABLE, _after_group(route, at)
    if sign == "[":
        return _VARIABLE, _after_set(route, at)
    return "" if sign in "^$" else sign, at + 1


def _after_group(route: str, at: int) -> int:
    depth = 0
    while at < len(route):
        if route[at] == "\\":
            at += 2
            continue
        if route[at] == "[":
            at = _after_set(route, at)
            continue
        depth += (route[at] == "(") - (route[at] == ")")
        at += 1
        if not depth:
            break
    return at


def _after_set(route: str, at: int) -> int:
    at += 1
    at += route.startswith("^", at)
    at += route.startswith("]", at)  # the first one belongs to the set
    while at < len(route) and route[at] != "]":
        at += 2 if route[at] == "\\" else 1
    return at + 1
