"""What prices come from in this process: the table, the user's file, the currency; and what was resolved from it.

The table is read at the first call. A short price file in JSON is read then, too; one in YAML on a thread of its own,
because PyYAML takes 20 ms to import and no call waits that long: calls that come before it is read are priced when it is.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import forks
from otel_kpi.packs.llm.prices.amounts import (
    INCONSISTENT_USAGE,
    NO_TABLE,
    NO_USAGE,
    Pending,
    Price,
    Unpriced,
)
from otel_kpi.packs.llm.prices.exchange import in_force
from otel_kpi.packs.llm.prices.resolution import Book, Kind, Resolved, resolve
from otel_kpi.packs.llm.prices.table import load
from otel_kpi.packs.llm.prices.tariff import ARITHMETIC, Unbillable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from otel_kpi.packs.llm.prices.exchange import Exchange
    from otel_kpi.packs.llm.usage import Usage

_logger = logging.getLogger("otel_kpi.packs.llm.prices")

_MOST: Final = 4_096
"""Kinds of calls that are kept resolved; with more of them all begin anew."""

_MOST_PENDING: Final = 10_000
"""Calls that wait for the price file; further ones have no price."""

_QUICK: Final = 10_000
"""Bytes of JSON that are read in the call that needs them."""

_multiply: Final = ARITHMETIC.multiply

_Question = tuple[Kind, "Usage", float | None, float | None]


class Prices:
    """The prices of a process.

    Args:
        file: The user's price file.
        currency: Into which amounts are converted.
        exchanges: With what.
    """

    def __init__(
        self,
        file: str | None = None,
        currency: str | None = None,
        exchanges: tuple[Exchange, ...] = (),
        *,
        folder: Path | None = None,
    ) -> None:
        self._file = file
        self._currency = currency
        self._exchanges = exchanges
        self._folder = folder
        self._book: Book | None = None
        self.known: dict[Any, Resolved] = {}
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._waiting: list[tuple[_Question, Callable[[Price | Unpriced], object]]] = []
        self.broken = False

    def price(  # noqa: PLR0913, PLR0917 - what is known of a call; by place, since that is quicker
        self,
        provider: str | None,
        endpoint: str | None,
        model: str | None,
        usage: Usage,
        tier: str | None,
        processing: str | None,
        at: float | None,
        seconds: float | None,
    ) -> Price | Unpriced:
        """Price a call; see `otel_kpi.packs.llm.prices.price`."""
        if at is None or not float("-inf") < at < float("inf"):
            at = time.time()
        key = (provider, endpoint, model, tier, processing)
        resolved = self.known.get(key)
        if resolved is None or not resolved.since <= at < resolved.until:
            kind = Kind(*key)
            book = self._book or self._open()
            if book is None:
                if self.broken:
                    return Unpriced(NO_TABLE)
                question = (kind, usage, at, seconds)
                return Pending(lambda callback: self._later(question, callback))
            resolved = resolve(book, kind, at)
            if len(self.known) >= _MOST:
                self.known = {}
            self.known[key] = resolved
        return bill(resolved, usage, seconds)

    def convert(
        self, amount: Decimal, currency: str, at: float | None
    ) -> tuple[Decimal, str, Exchange | None]:
        """Convert an amount; see `otel_kpi.packs.llm.prices.convert`."""
        if self._currency is None or self._currency == currency:
            return amount, currency, None
        exchange = in_force(self._exchanges, currency, self._currency, time.time() if at is None else at)
        if exchange is None:
            return amount, currency, None
        return _multiply(amount, exchange.rate), exchange.currency, exchange

    def explain(self, kind: Kind, at: float) -> Resolved | None:
        """How the rates of a kind of call are found; None where there is no table."""
        book = self.book()
        return resolve(book, kind, at) if book is not None else None

    def book(self) -> Book | None:
        """The table and the user's rules, all read."""
        book = self._book or self._open()
        if book is None and (reader := self._reader) is not None:
            reader.join()
            book = self._book
        return book

    def prepare(self) -> None:
        """Begin to read what a call will need. Never raises, never waits for the user's file."""
        try:
            if self._book is None:
                self._open()
        except Exception as error:
            _logger.warning("prices could not be prepared: %s", error)

    def renew(self) -> None:
        """In a forked child: the thread that read the file stayed with the parent."""
        self._lock = threading.Lock()
        self._reader = None
        self._waiting = []

    def _open(self) -> Book | None:
        """Read the table, and the user's file where that is quick; None while it is being read."""
        with self._lock:
            if self._book is not None or self._reader is not None or self.broken:
                return self._book
            if self._file is not None and not _quick(Path(self._file)):
                self._reader = threading.Thread(target=self._read, name="otel-kpi-prices", daemon=True)
                self._reader.start()
                return None
        self._read()
        return self._book

    def _read(self) -> None:
        try:
            book = self._compose()
        except Exception as error:
            self.broken = True
            _logger.warning("there is no table of prices: calls have no cost (%s)", error)
            book = None
        with self._lock:
            self._book = book
            waiting, self._waiting = self._waiting, []
        for question, callback in waiting:
            self._answer(question, callback)

    def _compose(self) -> Book:
        table, unused = load(self._folder)
        if unused is not None:
            _logger.warning("%s", unused)
        if self._file is None:
            return Book(table, (), "", self._currency, self._exchanges)
        from otel_kpi.packs.llm.prices.rules_file import read

        said = read(Path(self._file).expanduser(), table)
        for fault in said.faults:
            _logger.warning("%s", fault)
        return Book(table, said.rules, said.label, self._currency, self._exchanges)

    def _later(self, question: _Question, callback: Callable[[Price | Unpriced], object]) -> None:
        with self._lock:
            if self._book is None and not self.broken and len(self._waiting) < _MOST_PENDING:
                self._waiting.append((question, callback))
                return
        self._answer(question, callback)

    def _answer(self, question: _Question, callback: Callable[[Price | Unpriced], object]) -> None:
        kind, usage, at, seconds = question
        try:
            if self._book is None:
                callback(Unpriced(NO_TABLE))
                return
            callback(
                self.price(
                    kind.provider, kind.endpoint, kind.model, usage, kind.tier, kind.processing, at, seconds
                )
            )
        except Exception as error:
            _logger.warning("a call that waited for its price has none: %s", error)


def _quick(path: Path) -> bool:
    """Whether a price file is read in a millisecond or two."""
    try:
        return path.suffix == ".json" and path.stat().st_size <= _QUICK
    except OSError:
        return True  # what cannot be read is said at once


def bill(resolved: Resolved, usage: Usage, seconds: float | None) -> Price | Unpriced:
    """What a call costs at rates that were found before."""
    tariff = resolved.tariff
    if tariff is None:
        return Unpriced(resolved.reason)
    counts: Mapping[str, Any] = usage.counts
    if usage.fault is not None and tariff.rates:
        return Unpriced(INCONSISTENT_USAGE)
    if not counts and tariff.per_call is None and tariff.per_second is None:
        return Unpriced(NO_USAGE)
    try:
        missing = () if tariff.covered.issuperset(counts) else tariff.missing(counts)
        native = tariff.amount(counts, seconds)
    except Unbillable as fault:
        return Unpriced(fault.reason)
    exchange = resolved.exchange
    if exchange is None:
        return Price(native, resolved.native, native, missing, resolved, counts, seconds)
    amount = _multiply(native, exchange.rate)
    return Price(amount, exchange.currency, native, missing, resolved, counts, seconds)


class _Current:
    """The prices of this process; replaced as a whole by `use`."""

    prices: Prices | None = None


CURRENT: Final = _Current()


def _after_fork() -> None:
    if CURRENT.prices is not None:
        CURRENT.prices.renew()


forks.in_child(_after_fork)
