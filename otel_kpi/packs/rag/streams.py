"""Answers that are told in pieces: whoever takes the pieces ends the work, long after its block was left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from otel_kpi.packs.contexts import Inside

if TYPE_CHECKING:
    from otel_kpi.packs.rag.query import Query
    from otel_kpi.packs.rag.work import Work


def told(pieces: Any, work: Work, query: Query | None) -> Any:
    """The same pieces; the work, and the query around it, are over when there are no more."""
    # Python looks for these in the class, and the object's own may be made up as they are asked for.
    cls = type(pieces)
    if hasattr(cls, "__anext__") or hasattr(cls, "__aiter__"):
        return _AsyncPieces(pieces, work, query)
    if hasattr(cls, "__next__") or hasattr(cls, "__iter__"):
        return _Pieces(pieces, work, query)
    return pieces


class _Told:
    """What both kinds do: the end, once, however it comes."""

    def __init__(self, pieces: Any, work: Work, query: Query | None) -> None:
        self._pieces = pieces
        self._steps: Any = None
        self._work = work
        self._query = query
        self._inside = Inside(work.context)
        self._is_over = False
        for held in (work, query):
            if held is not None:
                held.hold()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_pieces" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._pieces, name)

    def _came(self) -> None:
        query = self._query
        if query is not None:
            query.told_first()

    def _ended(self, error: BaseException | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        for held in (self._work, self._query):
            if held is not None:
                held.release(error)

    def __del__(self) -> None:
        # Nobody wants the rest.
        if "_is_over" in self.__dict__:
            self._ended(GeneratorExit())


class _Pieces(_Told):
    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        with self._inside:
            try:
                if self._steps is None:
                    self._steps = iter(self._pieces)
                piece = next(self._steps)
            except StopIteration:
                self._ended()
                raise
            except BaseException as error:
                self._ended(error)
                raise
        self._came()
        return piece

    def close(self) -> None:
        """Have enough; the stream itself is closed, too, if it can be."""
        close = getattr(self._pieces, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._ended(GeneratorExit())

    def __enter__(self) -> Self:
        enter = getattr(self._pieces, "__enter__", None)
        if enter is not None:
            self._pieces = enter()
        return self

    def __exit__(self, *error: object) -> Any:
        leave = getattr(self._pieces, "__exit__", None)
        try:
            return leave(*error) if leave is not None else self.close()
        finally:
            self._ended(cast("BaseException | None", error[1]) or GeneratorExit())


class _AsyncPieces(_Told):
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        with self._inside:
            try:
                if self._steps is None:
                    self._steps = aiter(self._pieces)
                piece = await anext(self._steps)
            except StopAsyncIteration:
                self._ended()
                raise
            except BaseException as error:
                self._ended(error)
                raise
        self._came()
        return piece

    async def aclose(self) -> None:
        """Have enough; the stream itself is closed, too, if it can be."""
        close = getattr(self._pieces, "aclose", None) or getattr(self._pieces, "close", None)
        try:
            if close is not None:
                await close()
        finally:
            self._ended(GeneratorExit())

    close = aclose

    async def __aenter__(self) -> Self:
        enter = getattr(self._pieces, "__aenter__", None)
        if enter is not None:
            self._pieces = await enter()
        return self

    async def __aexit__(self, *error: object) -> Any:
        leave = getattr(self._pieces, "__aexit__", None)
        try:
            return await leave(*error) if leave is not None else await self.aclose()
        finally:
            self._ended(cast("BaseException | None", error[1]) or GeneratorExit())
