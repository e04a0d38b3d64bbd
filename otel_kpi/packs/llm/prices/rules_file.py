"""The user's price file: read, and said in one line each what of it cannot be used. The rest of it is.

YAML needs PyYAML, which `otel-kpi[llm]` brings; JSON needs nothing.
"""

from __future__ import annotations

import difflib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, cast

from otel_kpi.packs.llm.prices.exchange import currency_of
from otel_kpi.packs.llm.prices.providers import canonical
from otel_kpi.packs.llm.prices.rules import Rule, Selector
from otel_kpi.packs.llm.prices.tariff import Rate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otel_kpi.packs.llm.prices.table import Table
    from otel_kpi.packs.llm.prices.units import Unit

MOST_BYTES: Final = 1_000_000
MOST_RULES: Final = 2_000
MOST_NODES: Final = 200_000
"""Values in a YAML file, with what its aliases repeat; a million bytes hold fewer that mean something."""
MOST_LEVELS: Final = 50
_LONGEST: Final = 100
_TOP: Final = ("currency", "prices")
_ENTRY: Final = (
    "endpoint", "provider", "model", "tier", "processing", "from", "until",
    "currency", "rates", "override", "multiply", "as", "source",
)  # fmt: skip
_SECOND: Final = "second"
_CALL: Final = "call"
_HIGHEST: Final = Decimal(10) ** 9


class _Fault(Exception):  # noqa: N818 - a line for a person
    """Something in the file that cannot be used."""


@dataclass(frozen=True, slots=True)
class RulesFile:
    """What a price file says.

    Attributes:
        label: Its name and the day on which it was written; what is written beside each price.
        rules: What can be used.
        faults: What cannot, a line each.
    """

    label: str
    rules: tuple[Rule, ...] = ()
    faults: tuple[str, ...] = ()


def read(path: Path, table: Table) -> RulesFile:
    """Read a file. Never raises: what is wrong with it is in `faults`."""
    try:
        status = path.stat()
        # A shell hands over what a command prints as a pipe; a device has no end.
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISFIFO(status.st_mode):
            return RulesFile(path.name, faults=(f"{path}: cannot be read: it is no file",))
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            return RulesFile(path.name, faults=(f"{path}: has more than {MOST_BYTES} bytes; it is not read",))
        content = _content(path, text)
        written = datetime.fromtimestamp(status.st_mtime, tz=UTC).date()
        return parse(content, f"{path.name} {written}", path.name, table)
    except _Fault as fault:
        return RulesFile(path.name, faults=(f"{path}: {fault}",))
    except (OSError, UnicodeDecodeError) as error:
        return RulesFile(path.name, faults=(f"{path}: cannot be read: {error}",))
    except Exception as error:
        # A file of the user's that nobody thought of takes the table's prices from no call.
        return RulesFile(path.name, faults=(f"{path}: cannot be used: {error!r}",))


def parse(content: Any, label: str, name: str, table: Table) -> RulesFile:
    """What a file says whose text has been read into mappings and lists."""
    faults: list[str] = []
    rules: list[Rule] = []
    if content is None:
        return RulesFile(label)
    try:
        top = _mapping(content, "the file", _TOP)
        currency = currency_of(_text(top["currency"])) if "currency" in top else None
        entries = top.get("prices") or []
        if not isinstance(entries, list):
            raise _Fault("prices: is no list; begin each entry with a dash")  # noqa: TRY301 - one way out
    except (_Fault, ValueError) as fault:
        return RulesFile(label, faults=(f"{name}: {fault}",))
    if len(entries) > MOST_RULES:
        faults.append(f"{name}: prices: has more than {MOST_RULES} entries; the others are not read")
    for number, entry in enumerate(entries[:MOST_RULES]):
        place = f"{name}: prices[{number}]"
        try:
            rules.append(_rule(entry, place, currency, table))
        except (_Fault, ValueError) as fault:
            faults.append(f"{place}: {fault}; this entry is not used")
    return RulesFile(label, tuple(rules), tuple(faults))


def _content(path: Path, text: str) -> Any:
    if path.suffix == ".json":
        try:
            return json.loads(text, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise _Fault(f"is no JSON: {error}") from None
    try:
        import yaml
    except ImportError:
        raise _Fault(
            "needs PyYAML: pip install 'otel-kpi[llm]'; or write the same as JSON into a .json"
        ) from None
    # The same loader in C is ten times as quick, where there is one.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _bounded(yaml.parse(text, Loader=loader))
        return yaml.load(text, Loader=loader)  # noqa: S506 - both are safe
    except (yaml.YAMLError, ValueError) as error:
        raise _Fault(f"is no YAML: {' '.join(str(error).split())}") from None


def _bounded(events: Iterable[Any]) -> None:
    """Refuse what would take the memory or the stack of the process: the loader in C ends it where it nests too deep.

    Raises:
        _Fault: It nests too deep, or its anchors stand for too much.
    """
    sizes: dict[str | None, int] = {}
    inside: list[tuple[str | None, int]] = []
    size = 0
    for event in events:
        kind, anchor = type(event).__name__, getattr(event, "anchor", "")
        size += sizes.get(anchor, 1) if kind == "AliasEvent" else 1
        if size > MOST_NODES:
            raise _Fault(f"its anchors and aliases stand for more than {MOST_NODES} values")
        if kind.endswith("StartEvent"):
            inside.append((anchor, size))
            if len(inside) > MOST_LEVELS:
                raise _Fault(f"is nested in more than {MOST_LEVELS} levels")
        elif kind.endswith("EndEvent"):
            named, before = inside.pop()
            if named is not None:
                sizes[named] = size - before + 1


def _shown(said: Any) -> str:
    """A value for a line of text: of a list of lists only what it is."""
    if isinstance(said, (list, Mapping)):
        return "a list" if isinstance(said, list) else "a mapping"
    text = repr(said)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _rule(entry: Any, place: str, currency: str | None, table: Table) -> Rule:
    said = _mapping(entry, "the entry", _ENTRY)
    selector = _selector(said, table)
    if not (selector.endpoints or selector.provider or selector.models):
        raise _Fault("says of nothing which calls it is for: give endpoint, provider or model")
    rates, per_second, per_call = _rates(said.get("rates"), "rates", table)
    override, second, call = _rates(said.get("override"), "override", table)
    if second is not None or call is not None:
        raise _Fault("override: has no second and no call; those stand in rates")
    own = bool(rates) or per_second is not None or per_call is not None
    alias, model = _alias(said.get("as"), table)
    factor = _number(said["multiply"], "multiply") if "multiply" in said else None
    if own and (override or alias or model or factor is not None):
        raise _Fault("rates stand alone; multiply, override and as change those of the table")
    if not own and not (override or alias or model or factor is not None):
        raise _Fault("says no price: give rates, or multiply, override or as")
    if own:
        currency = currency_of(_text(said["currency"])) if "currency" in said else currency
        if currency is None:
            raise _Fault("says no currency; write for example currency: EUR, here or at the top of the file")
        if (wrong := table.units.uncovered(rates)) is not None:
            raise _Fault(f"rates: {wrong}")
    elif "currency" in said:
        raise _Fault(f"currency: the table's rates are in {table.currency}; it stands beside rates alone")
    since, until = _day(said.get("from"), "from"), _day(said.get("until"), "until")
    if since is not None and until is not None and until <= since:
        raise _Fault(f"until: {until} is not after from, {since}")
    return Rule(
        place=place,
        selector=selector,
        currency=currency if own else None,
        rates={unit.price_key: rate for unit, rate in rates.items()} if rates else None,
        per_second=per_second,
        per_call=per_call,
        override={unit.price_key: rate for unit, rate in override.items()},
        factor=factor,
        alias=alias,
        model=model,
        since=since,
        until=until,
        source=_text(said["source"]) if "source" in said else None,
    )


def _selector(said: Mapping[str, Any], table: Table) -> Selector:
    provider = said.get("provider")
    tiers = tuple(_texts(said.get("tier"), "tier"))
    # What changes the table's rates changes them whatever the tier; rates of one's own are those of one.
    everything = ("*",) if "rates" not in said and "override" not in said else ()
    processing = said.get("processing")
    return Selector(
        endpoints=tuple(_texts(said.get("endpoint"), "endpoint")),
        provider=canonical(table, _text(provider)) if provider is not None else None,
        models=tuple(each.lower() for each in _texts(said.get("model"), "model")),
        tiers=tuple(each.lower() for each in tiers) or everything,
        processing=_text(processing).lower() if processing is not None else "*" if everything else None,
    )


def _alias(said: Any, table: Table) -> tuple[str | None, str | None]:
    if said is None:
        return None, None
    if isinstance(said, str):
        said = {"provider": said}
    named = _mapping(said, "as", ("provider", "model"))
    provider = canonical(table, _text(named["provider"])) if "provider" in named else None
    if provider is not None and provider not in table.providers:
        raise _Fault(f"as: the table has no provider {named['provider']!r}{_near(provider, table.providers)}")
    return provider, _text(named["model"]) if "model" in named else None


def _rates(said: Any, key: str, table: Table) -> tuple[dict[Unit, Rate], Decimal | None, Decimal | None]:
    if said is None:
        return {}, None, None
    units = table.units.by_price_key
    named = _mapping(said, key, (*units, _SECOND, _CALL))
    rates = {units[name]: _rate(value, f"{key}.{name}") for name, value in named.items() if name in units}
    second, call = (
        _number(named[name], f"{key}.{name}") if name in named else None for name in (_SECOND, _CALL)
    )
    return rates, second, call


def _rate(said: Any, place: str) -> Rate:
    if not isinstance(said, Mapping):
        return Rate(_number(said, place))
    named = _mapping(said, place, ("base", "above"))
    if "base" not in named:
        raise _Fault(f"{place}: says no base, the rate of short prompts")
    above = named.get("above") or {}
    if not isinstance(above, Mapping):
        raise _Fault(f"{place}.above: is no mapping; write above: {{200000: 6}}")
    steps: list[tuple[int, Decimal]] = []
    for tokens, rate in cast("Mapping[Any, Any]", above).items():
        number = str(tokens)
        if not (number.isascii() and number.isdigit()):
            raise _Fault(f"{place}.above: {tokens!r} is no whole number of input tokens")
        steps.append((int(number), _number(rate, f"{place}.above.{tokens}")))
    return Rate(_number(named["base"], f"{place}.base"), tuple(sorted(steps)))


def _number(said: Any, place: str) -> Decimal:
    try:
        if isinstance(said, bool) or not isinstance(said, (int, float, str, Decimal)):
            raise InvalidOperation  # noqa: TRY301 - one way out
        number = Decimal(repr(said)) if isinstance(said, float) else Decimal(said)
    except InvalidOperation:
        raise _Fault(f"{place}: {_shown(said)} is no number; write it with a point: 0.25") from None
    if not number.is_finite() or not 0 <= number <= _HIGHEST:
        raise _Fault(f"{place}: {_shown(said)} is not between 0 and {_HIGHEST}")
    return number


def _day(said: Any, place: str) -> date | None:
    if said is None:
        return None
    if isinstance(said, date):
        return said.date() if isinstance(said, datetime) else said
    try:
        return date.fromisoformat(said)
    except (TypeError, ValueError):
        raise _Fault(f"{place}: {_shown(said)} is no day; write 2026-11-01") from None


def _text(said: Any) -> str:
    if not isinstance(said, str) or not said.strip():
        raise _Fault(f"{_shown(said)} is no text")
    return said.strip()


def _texts(said: Any, place: str) -> list[str]:
    if said is None:
        return []
    try:
        return [_text(each) for each in (cast("list[Any]", said) if isinstance(said, list) else [said])]
    except _Fault as fault:
        raise _Fault(f"{place}: {fault}; write a text, or a list of texts") from None


def _mapping(said: Any, place: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(said, Mapping):
        raise _Fault(f"{place}: is no mapping of names to values")
    named = cast("Mapping[Any, Any]", said)
    for key in named:
        if key not in keys:
            raise _Fault(f"{place}: there is no {_shown(key)}{_near(str(key)[:_LONGEST], keys)}")
    return named


def _near(said: str, known: Any) -> str:
    near = difflib.get_close_matches(said, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
