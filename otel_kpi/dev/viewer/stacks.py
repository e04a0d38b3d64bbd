"""A stack as it is shown: which lines are of the application, and which is the innermost of them. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

FOREIGN: Final = (
    "site-packages", "dist-packages", "/lib/python", "\\lib\\", "<frozen ", "node_modules", "node:", "(internal/",
    "/usr/local/go/", "/pkg/mod/", "/gems/", "/lib/ruby/", "at java.", "at javax.", "at jdk.", "at sun.",
    "at org.springframework.", "at org.apache.", "at System.", "at Microsoft.",
)  # fmt: skip
_MOST: Final = 2_000


class Line(NamedTuple):
    """A line of a stack.

    Attributes:
        own: It is of the application, or of the exception itself.
        place: It names the innermost frame of the application.
    """

    text: str
    own: bool
    place: bool


def stack_lines(stack: str, frame: str) -> list[Line]:
    """Tell the lines of a stack apart.

    Args:
        stack: As it was sent, of whatever language.
        frame: The innermost place of the application, as the problem has it.
    """
    path, _, name = frame.rpartition(" in ")
    lines = stack.splitlines()
    left = len(lines) - _MOST
    if left > 0:  # both ends say the most
        lines = [*lines[: _MOST // 2], f"… {left} lines …", *lines[-_MOST // 2 :]]
    found: list[Line] = []
    own = True
    for text in lines:
        heads = text.lstrip()
        if heads.startswith(("File ", "at ", "from ")) or ".go:" in heads:
            own = not any(part in text for part in FOREIGN)
        elif not text[:1].isspace():
            own = True  # the exception itself, and what stands between two
        found.append(Line(text, own, place=_is_place(text, path, name)))
    last = max((at for at, line in enumerate(found) if line.place), default=-1)
    return [Line(line.text, line.own, line.place and at == last) for at, line in enumerate(found)]


def _is_place(text: str, path: str, name: str) -> bool:
    if not path:
        return bool(name) and name in text
    return path in text and (name in text or ".go:" in text)
