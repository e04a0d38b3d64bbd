"""Names of data sets, `namespace/name` as OpenLineage has them, without what opens them. Pure functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST: Final = 64
"""Data sets on one span."""
_LONGEST: Final = 120
_USER: Final = re.compile(r"(?<=://)[^/@\s]*@")
"""`user:password@` of a URL; a password may hold anything but these."""
_USER_WITH_SLASH: Final = re.compile(r"(?<=://)[^@\s]*:[^@\s]*@")
"""A password that holds a slash, which no URL allows and people write."""


def dataset_name(dataset: Any) -> str | None:
    """The name of a data set without user, password, query and fragment; None of what is not text.

    Args:
        dataset: For example `postgres://loader:secret@db:5432/kpi.public.facts`, or a path.

    Returns:
        `postgres://db:5432/kpi.public.facts`.
    """
    try:
        text = dataset if isinstance(dataset, str) else str(dataset) if hasattr(dataset, "__fspath__") else ""
    except Exception:
        return None
    name = _USER.sub("", _USER_WITH_SLASH.sub("", text.strip()))
    if "://" in name:
        # Signed URLs carry their signature there.
        name = re.split(r"[?#]", name, maxsplit=1)[0]
    return name[:_LONGEST] or None


def dataset_names(datasets: Any) -> tuple[str, ...]:
    """The names of several data sets, or of one. Never raises."""
    try:
        given: Iterable[Any] = (
            (datasets,) if isinstance(datasets, str) or hasattr(datasets, "__fspath__") else datasets or ()
        )
        names = dict.fromkeys(name for each in given if (name := dataset_name(each)))
    except Exception:
        return ()
    return tuple(names)[:_MOST]
