"""What batches are made of: a source in pieces of a size, each in the way that its library has.

Lists of a plain iterable; slices of an array; frames of a frame. Nothing is copied that a library can show as a view.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


_LAZY: Final = frozenset({"dask", "dask_expr", "django", "mongoengine", "peewee", "pony"})
"""Libraries whose objects run a query, or compute all, when they are asked for their length."""


def whole_slices(source: Any, size: int) -> Iterator[Any] | None:
    """Pieces of a frame of pandas or polars, a table of pyarrow or an array; None of anything else."""
    # What an object says itself may be anything: a mock or a proxy of a remote object has every attribute.
    kind: Any = type(source)
    if _is_lazy(kind):
        return None
    if hasattr(kind, "iter_slices"):  # polars
        return iter(source.iter_slices(size))
    if hasattr(kind, "iloc"):  # pandas, whose own iterator gives the names of the columns
        return (source.iloc[first : first + size] for first in range(0, len(source), size))
    if hasattr(kind, "to_batches") and hasattr(kind, "num_rows"):  # pyarrow
        return iter(source.to_batches(max_chunksize=size))
    if hasattr(kind, "__array__") and hasattr(kind, "__getitem__") and hasattr(kind, "__len__"):  # numpy
        return (source[first : first + size] for first in range(0, len(source), size))
    return None


def _is_lazy(kind: type) -> bool:
    return any(cls.__module__.partition(".")[0] in _LAZY for cls in kind.__mro__)


def take(source: Iterator[Any], size: int, into: list[Any]) -> None:
    """Fill `into` with the next records, as many as a batch has."""
    into.extend(islice(source, size))


async def take_async(source: AsyncIterator[Any], size: int, into: list[Any]) -> None:
    """Fill `into` from an asynchronous source."""
    while len(into) < size:
        try:
            into.append(await source.__anext__())
        except StopAsyncIteration:
            return


def size_of(batch: Any) -> int | None:
    """Records in a batch that the source made; None where it has no length, or would have to compute it."""
    if type(batch) is list:
        return len(cast("list[Any]", batch))
    if isinstance(batch, str | bytes) or _is_lazy(type(batch)):
        return None
    try:
        return len(batch)
    except Exception:
        return None
