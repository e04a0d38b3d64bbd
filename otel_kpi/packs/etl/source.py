"""What batches come from: anything to iterate over, asked for one batch after the other."""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, cast

from otel_kpi.packs.contexts import Inside
from otel_kpi.packs.etl.slices import take, take_async, whole_slices

if TYPE_CHECKING:
    from opentelemetry.context import Context


class Source:
    """A source in batches of a size.

    It runs within the context that it is asked in; a generator goes on in the one in which it gave its last value.

    Args:
        given: What the application gave.
        size: Records in a batch; None where the source gives batches already.
    """

    def __init__(self, given: Any, size: int | None) -> None:
        self._given = given
        self._size = size
        self._iterator: Any = None
        self._beginning = threading.RLock()
        self._rest: list[Any] = []
        self._place: Context | None = None

    def check(self) -> None:
        """Raise what Python says of something that cannot be iterated over."""
        if self._iterator is None and not isinstance(self._given, Iterable):
            iter(self._given)

    def length_hint(self) -> int:
        """How many batches there will be; 0 where nobody knows."""
        try:
            length = len(self._given)
        except TypeError:
            return 0
        return length if self._size is None else -(-length // self._size)

    def resumed(self) -> list[Any]:
        """What was given for a batch before the source failed, or before a wait for the rest was cancelled."""
        if not self._rest:
            return []
        with self._beginning:
            rest, self._rest = self._rest, []
        return rest

    def keep(self, rest: list[Any]) -> None:
        """Keep what was given, for who asks again."""
        self._rest = rest

    def pull(self, within: Context, into: list[Any]) -> Any:
        """Give the next batch.

        Args:
            within: The context of the stage.
            into: What `resumed` gave; the source's records are in it even if it fails.

        Raises:
            StopIteration: There is none.
        """
        with (inside := self._inside(within)):
            found = self._pull(into)
        self._remember(inside)
        return found

    async def pull_async(self, within: Context, into: list[Any]) -> Any:
        """Give the next batch of a source of either kind; see `pull`.

        Raises:
            StopAsyncIteration: There is none.
        """
        with (inside := self._inside(within)):
            found = await self._pull_async(into)
        self._remember(inside)
        return found

    def close(self, within: Context) -> None:
        """Close a generator."""
        if inspect.isgenerator(self._iterator):
            with self._inside(within):
                self._iterator.close()

    async def aclose(self, within: Context) -> None:
        """Close a generator of either kind."""
        if inspect.isasyncgen(self._iterator):
            with self._inside(within):
                await self._iterator.aclose()
        else:
            self.close(within)

    def _inside(self, within: Context) -> Inside:
        return Inside(within if self._place is None else self._place)

    def _remember(self, inside: Inside) -> None:
        if inspect.isgenerator(self._iterator) or inspect.isasyncgen(self._iterator):
            self._place = inside.place

    def _begin(self) -> Any:
        with self._beginning:  # two threads may ask for the first batch at once
            if self._iterator is not None:
                return self._iterator
            slices = None if self._size is None else whole_slices(self._given, self._size)
            iterator = iter(self._given) if slices is None else slices
            if slices is not None:
                self._size = None
            self._iterator = iterator
            return iterator

    def _pull(self, into: list[Any]) -> Any:
        iterator = self._begin() if self._iterator is None else self._iterator
        if self._size is None:
            return next(iterator)
        take(iterator, self._size, into)
        if not into:
            raise StopIteration
        return into

    async def _pull_async(self, into: list[Any]) -> Any:
        if not isinstance(self._given, AsyncIterable):
            try:
                return self._pull(into)
            except StopIteration:
                raise StopAsyncIteration from None
        if self._iterator is None:
            self._iterator = aiter(cast("AsyncIterable[Any]", self._given))
        if self._size is None:
            return await self._iterator.__anext__()
        await take_async(self._iterator, self._size, into)
        if not into:
            raise StopAsyncIteration
        return into
