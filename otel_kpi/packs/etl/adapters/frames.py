"""How much there is in a frame of pandas or polars, an array or a list, without computing anything.

`len`, `height` and the sizes of buffers are there already. What would have to be computed first is not asked: a
LazyFrame, a frame of Dask's or a QuerySet has no volume yet, and what is unknown is absent. Text in columns of
objects is not measured either, since each value would have to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, cast


@dataclass(frozen=True, slots=True)
class Volume:
    """How much there is; None is not known.

    Attributes:
        records: Rows, or members.
        bytes: What the buffers take, without what objects in them refer to.
        cells: Rows times columns: single values.
    """

    records: int | None = None
    bytes: int | None = None
    cells: int | None = None


def volume(data: Any) -> Volume:
    """How much there is in something that a stage read or wrote.

    Args:
        data: A number of records; a frame or a series of pandas or polars; an array of numpy; a list, tuple,
            dictionary or set. Of anything else nothing is known.

    Never raises, and never evaluates what is lazy.
    """
    try:
        return _volume(data)
    except Exception:
        return Volume()


def _volume(data: Any) -> Volume:
    if isinstance(data, int | float) and not isinstance(data, bool):
        return Volume(records=int(data))
    measure = _MEASURES.get(_kind(data))
    if measure is not None:
        return measure(data)
    if isinstance(data, bytes | bytearray | memoryview):
        return Volume(bytes=memoryview(data).nbytes)
    # No other class is asked for its length: a QuerySet or a frame of Dask's would compute it.
    if isinstance(data, Sequence | Mapping | AbstractSet) and not isinstance(data, str):
        return Volume(len(cast("Sequence[Any]", data)))
    return Volume()


_MEASURES: Final[dict[tuple[str, str], Callable[[Any], Volume]]] = {
    ("pandas", "DataFrame"): lambda frame: Volume(
        len(frame), int(frame.memory_usage(deep=False).sum()), len(frame) * len(frame.columns)
    ),
    ("pandas", "Series"): lambda column: Volume(
        len(column), int(column.memory_usage(deep=False)), len(column)
    ),
    ("polars", "DataFrame"): lambda frame: Volume(
        frame.height, int(frame.estimated_size()), frame.height * frame.width
    ),
    ("polars", "Series"): lambda column: Volume(len(column), int(column.estimated_size()), len(column)),
    ("numpy", "ndarray"): lambda array: Volume(
        len(array) if array.ndim else None, int(array.nbytes), int(array.size)
    ),
}


def _kind(data: Any) -> tuple[str, str]:
    """The library and the class of a frame, also of one that derives from it: a GeoDataFrame is one of pandas."""
    for cls in type(data).__mro__:
        library = cls.__module__.partition(".")[0]
        if (library, cls.__name__) in _MEASURES:
            return library, cls.__name__
    return "", ""
