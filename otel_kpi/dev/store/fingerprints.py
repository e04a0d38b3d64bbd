"""Which exceptions are alike: their type, their message without what varies, and where in the application they began."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

MESSAGE: Final = 300
"""Characters of a message that tell errors apart."""
_STACK: Final = 200_000
"""Characters of a stack that are looked at, its end for Python."""

# One pass, each repetition bounded: a message is whatever a sender wants it to be.
_VARYING: Final = re.compile(
    r"""
    (?P<mail>[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,8})
  | (?P<uuid>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)
  | (?P<time>\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+\-]\d\d:?\d\d)?)?)
  | (?P<address>\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b|\b0x[0-9a-f]{1,16}\b)
  | (?P<id>\b(?=[\w\-]{0,40}\d)(?=[\w\-]{0,40}[a-z_])[\w\-]{8,256})
  | (?P<number>\d[\d_,.]{0,40}(?<=\d)|\d)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PYTHON: Final = re.compile(r'File "([^"\n]{1,500})", line \d{1,9}, in ([^\n]{1,200})')
_BEGIN: Final = "Traceback (most recent call last):"
# Java, .NET and JavaScript: the innermost first.
_AT: Final = re.compile(r"^[ \t]{0,16}at ([^\n]{1,500})$", re.MULTILINE)
_GO: Final = re.compile(r"^([\w./*()\-]{1,300})\([^\n]{0,300}\)\n\t([^\s:]{1,500}):\d{1,9}", re.MULTILINE)
_RUBY: Final = re.compile(
    r"^\s{0,8}(?:from )?([^\s:]{1,500}\.rb):\d{1,9}:in [`']([^'\n]{1,200})'", re.MULTILINE
)
_LINE: Final = re.compile(r":\d{1,9}(?::\d{1,9})?(?=\)?$)|:line \d{1,9}$")

_FOREIGN: Final = (
    "site-packages", "dist-packages", "/lib/python", "\\lib\\", "<frozen ", "node_modules", "node:", "(internal/",
    "/usr/local/go/", "/pkg/mod/", "/gems/", "/lib/ruby/",
)  # fmt: skip
_FOREIGN_CLASSES: Final = (
    "java.", "javax.", "jdk.", "sun.", "org.springframework.", "org.apache.", "System.", "Microsoft.", "kotlin.", "scala.",
)  # fmt: skip


def without_ids(message: str) -> str:
    """The beginning of a message in which ids, numbers, dates and addresses are named and not written."""
    return _VARYING.sub(lambda match: f"<{match.lastgroup}>", message[:MESSAGE])


def innermost(stack: str) -> str:
    """The innermost frame of the application, else the innermost; without its line. Empty where none is understood."""
    frames = _frames(stack)
    return next((frame for frame, is_own in frames if is_own), frames[0][0] if frames else "")


def fingerprint(service: str, kind: str, message: str, frame: str) -> bytes:
    """What exceptions that are alike have in common."""
    said = "\0".join((service, kind, without_ids(message), frame))
    return blake2b(said.encode("utf-8", "replace"), digest_size=16).digest()


def _frames(stack: str) -> list[tuple[str, bool]]:
    """Frames, the innermost first, and whether each is of the application."""
    last = stack[-_STACK:]
    # What is written last has been raised last: the causes stand before it.
    found = _PYTHON.findall(last[max(last.rfind(_BEGIN), 0) :])
    if found:
        return [(f"{path} in {name}", _is_own(path)) for path, name in reversed(found)]
    first = stack[:_STACK]
    at = _AT.findall(first)
    if at:
        plain = [_LINE.sub("", each.strip()) for each in at]
        return [(each, _is_own(each) and not each.startswith(_FOREIGN_CLASSES)) for each in plain]
    pairs = [(path, name) for name, path in _GO.findall(first) if name != "panic"] or _RUBY.findall(first)
    return [(f"{path} in {name}", _is_own(path)) for path, name in pairs]


def _is_own(path: str) -> bool:
    return not any(part in path for part in _FOREIGN)
