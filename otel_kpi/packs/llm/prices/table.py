"""The table of prices: one line of JSON for what all share, then one for each provider, read when it is called.

Reading the file and the first line takes a millisecond, a provider's line 0.1 to 1.5; so no thread is needed, and no
call waits long. The file is written by `otel-kpi generate`; a newer one in the user's data folder, written by
`otel-kpi prices update`, is used instead.
"""

from __future__ import annotations

import json
import os
import pkgutil
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from otel_kpi.packs.llm.prices.clauses import matches
from otel_kpi.packs.llm.prices.units import Units

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME: Final = "table.jsonl"
FORMAT: Final = 1
_MOST: Final = 16_000_000  # bytes that are read as a table


class UnreadableTableError(Exception):
    """A file is no table of prices, or one of another format."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a provider, as it is written in the table.

    Attributes:
        id: Its name in the data.
        prices: Rates, flat, or pairs of a condition and rates, of which the last that is fulfilled holds.
        variants: Rates for a tier or a way of processing: what it takes, a condition, rates.
        sources: Addresses of where the rates come from.
    """

    id: str
    prices: list[Any]
    variants: list[Any]
    sources: tuple[str, ...]


@dataclass(slots=True)
class Provider:
    """A provider, whose models are read when they are asked for.

    Attributes:
        id: Its name in the data.
        address: What an address of it begins with, what is in it, and the whole expression, or None where these
            are enough.
        names: Which provider names mean it.
        model_names: Which model names mean it, where nothing else is known.
        fallback: Providers whose models it serves.
    """

    id: str
    address: tuple[str, str, str | None]
    names: Any
    model_names: Any
    fallback: tuple[str, ...]
    _text: bytes = field(repr=False)
    _line: Any = field(default=None, repr=False)

    def models(self) -> Iterator[Model]:
        """All models, in the order in which they are tried."""
        return (self._model(row) for row in self._read()[2])

    def find(self, name: str) -> Model | None:
        """The first model that a name in lower case means."""
        for row in self._read()[2]:
            if matches((row[1] if len(row) > 1 else 0) or row[0].lower(), name):
                return self._model(row)
        return None

    def _read(self) -> Any:
        if self._line is None:
            # Two threads may both read it; they read the same.
            self._line = json.loads(self._text, parse_float=Decimal)
        return self._line

    def _model(self, row: Any) -> Model:
        written, general, _ = self._read()
        addresses = [each if "://" in each else f"https://{each}" for each in written]
        name, _, prices, variants, sources = cast("list[Any]", [*row, *[0] * (5 - len(row))])
        told = [addresses[place] for place in sources or ()] + addresses[:general]
        return Model(name, prices or [], variants or [], tuple(dict.fromkeys(told)))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of prices.

    Attributes:
        source: Whose data they are.
        version: Of that package.
        date: The newest day that its data name.
        currency: Of all rates.
        units: What is billed.
        providers: By id, in the order in which they are tried.
    """

    source: str
    version: str
    date: str
    currency: str
    units: Units
    providers: Mapping[str, Provider]

    @property
    def age(self) -> tuple[str, tuple[int, ...]]:
        """The newer of two tables has the later date; of one day, the higher version."""
        return self.date, tuple(int(number) for number in re.findall(r"\d+", self.version))

    @property
    def label(self) -> str:
        """What is written beside each price."""
        return f"{self.source} {self.version} {self.date}"


def parse(content: bytes) -> Table:
    """Read a table.

    Raises:
        UnreadableTableError: It is none.
    """
    first, *lines = content.rstrip(b"\n").split(b"\n")
    try:
        header = json.loads(first)
        if header["format"] != FORMAT or len(lines) != len(header["providers"]):
            raise UnreadableTableError(f"format {header['format']}, {len(lines)} providers")
        providers = {
            row[0]: Provider(row[0], (row[1][0], row[1][1], row[1][2]), row[2], row[3], tuple(row[4]), line)
            for row, line in zip(header["providers"], lines, strict=True)
        }
        return Table(
            header["source"],
            header["version"],
            header["date"],
            header["currency"],
            Units(header["units"]),
            providers,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UnreadableTableError(f"{type(error).__name__}: {error}") from None


def load(folder: Path | None = None) -> tuple[Table, str | None]:
    """The newer of the table in the wheel and that in the user's data folder.

    Returns:
        The table, and why the user's is not used though it is there, if so.

    Raises:
        UnreadableTableError: That of the wheel cannot be read: the installation is broken.
    """
    shipped = parse(pkgutil.get_data(__package__ or "", NAME) or b"")
    path = (folder or data_folder()) / NAME
    try:
        if path.stat().st_size > _MOST:
            return shipped, f"{path} is not used: it has more than {_MOST} bytes"
        own = parse(path.read_bytes())
    except OSError:
        return shipped, None
    except UnreadableTableError as error:
        return shipped, f"{path} is not used: {error}; write it again with: otel-kpi prices update"
    return (own if own.age > shipped.age else shipped), None


def data_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where `otel-kpi prices update` writes: `$XDG_DATA_HOME/otel-kpi`, or `~/.local/share/otel-kpi`."""
    given = (os.environ if environment is None else environment).get("XDG_DATA_HOME")
    try:
        base = Path(given) if given else Path.home() / ".local/share"
    except RuntimeError:  # a user without a home
        base = Path("/nonexistent")
    return base / "otel-kpi"
