"""What batches are made of: a source in pieces of a size, each in the way that its library has.

Lists of a plain iterable; slices of an array; frames of a frame. Nothing is copied that a library can show as a view.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def whole_slices(source: Any, size: int) -> Iterator[Any] | None:
    """Pieces of a frame of pandas or polars, a table of pyarrow or an array; None of anything else."""
    if hasattr(source, "iter_slices"):  # polars
        return iter(source.iter_slices(size))
    if hasattr(source, "iloc"):  # pandas, whose own iterator gives the names of the columns
        return (source.iloc[first : first + size] for first in range(0, len(source), size))
    if hasattr(source, "to_batches") and hasattr(source, "num_rows"):  # pyarrow
        return iter(source.to_batches(max_chunksize=size))
    if (
        hasattr(source, "__array__") and hasattr(source, "__getitem__") and hasattr(source, "__len__")
    ):  # numpy
        return (source[first : first + size] for first in range(0, len(source), size))
    return None


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
    """Records in a batch that the source made; None where it has no length."""
    if isinstance(batch, str | bytes):
        return None
    try:
        # A frame of pandas, polars or pyarrow, a list, an array: none of these computes its length.
        return len(batch)
    except Exception:
        return None
