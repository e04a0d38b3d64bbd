"""The table of prices that travels in the wheel, compiled from the data of genai-prices.

genai-prices takes half a second to import and 30 MB; a process that bills a call needs the rates of one model. So its
data are written as lines of JSON: the first has what all share, then comes one line for each provider, of which a
process reads the one that it calls. Everything in them is kept that decides a price; descriptions are not.
"""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT: Final = 1
PACKAGE: Final = "genai-prices"
TABLE: Final = "otel_kpi/packs/llm/prices/table.jsonl"

_DAY = re.compile(r"\b20\d\d-[01]\d-[0-3]\d\b")
_ADDRESS = re.compile(r"https?://[^\s,;)'\"]+")


def compiled(before: str | None = None, *, today: date | None = None) -> str:
    """The text of the table, from the genai-prices that is installed.

    Args:
        before: The table as it was: of the same version it keeps its date.
        today: For the date of a new version: the newest day that the data name and that is not to come.

    Raises:
        ImportError: genai-prices is not installed.
    """
    import genai_prices
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.data_units import unit_data

    # Not from `genai_prices.data`: its 1.6 MB of literals take a type checker a minute and a half.
    providers = get_snapshot().providers
    version = genai_prices.__version__
    units = {unit["price_key"]: number for number, unit in enumerate(unit_data.values())}
    lines = [_line(_models(provider, units)) for provider in providers]
    header = {
        "generated": "by `otel-kpi generate` from the data of genai-prices; do not edit",
        "format": FORMAT,
        "source": PACKAGE,
        "version": version,
        "date": _date_of(before, version) or _newest(providers, today or date.today()),  # noqa: DTZ011 - a day, not an instant
        "currency": "USD",
        "units": [
            [key, unit["price_key"], unit["per"], unit["dimensions"]] for key, unit in unit_data.items()
        ],
        "providers": [_provider(provider) for provider in providers],
    }
    return "\n".join([_line(header), *lines]) + "\n"


def header_of(text: str) -> dict[str, Any]:
    """The first line of a table; empty when the text is none."""
    try:
        header = json.loads(text.partition("\n")[0])
    except ValueError:
        return {}
    return header if isinstance(header, dict) else {}


def version_key(version: str) -> tuple[int, ...]:
    """A version for comparison: `0.10.1` is after `0.9`."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _date_of(before: str | None, version: str) -> str | None:
    header = header_of(before or "")
    return header["date"] if header.get("version") == version else None


def _newest(providers: Iterable[Any], today: date) -> str:
    said = {
        day
        for provider in providers
        for model in provider.models
        for day in (*_DAY.findall(model.price_comments or ""), *_starts(model))
    }
    # A day ahead of here may have begun where the data were read.
    return max(day for day in said if day <= (today + timedelta(days=1)).isoformat())


def _starts(model: Any) -> Iterator[str]:
    for each in (*(model.prices if isinstance(model.prices, list) else ()), *(model.price_variants or ())):
        if (day := getattr(each.constraint, "start_date", None)) is not None:
            yield day.isoformat()


def _line(content: Any) -> str:
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    # A rate is written as a number with the digits that it has in the data; `json` knows no Decimal.
    return text.replace(f'"{_RATE}', "").replace(f'{_RATE}"', "")


_RATE: Final = "\N{CURRENCY SIGN}"


def _provider(provider: Any) -> list[Any]:
    return [
        provider.id,
        _endpoint(provider.api_pattern),
        _clause(provider.provider_match),
        _clause(provider.model_match),
        provider.fallback_model_providers or [],
    ]


def _models(provider: Any, units: dict[str, int]) -> list[Any]:
    """Where the rates come from, first what is true of all models, how many those are, and the models."""
    general: list[str] = list(dict.fromkeys(provider.pricing_urls or ()))
    sources = {address: number for number, address in enumerate(general)}
    for model in provider.models:
        for address in _sources(model):
            sources.setdefault(address, len(sources))
    written = [address.removeprefix("https://") for address in sources]
    return [written, len(general), [_model(model, units, sources) for model in provider.models]]


def _endpoint(pattern: str) -> list[str | None]:
    """What an address begins with and what it has in it, and the expression where these two are not all.

    Compiling an expression takes 0.2 ms, and there are 47: with these two a process compiles the one that it needs.
    """
    begins, within = _certain(pattern)
    literal = re.sub(r"\\(.)", r"\1", pattern)
    return [begins, "", None] if begins == literal else [begins, "" if within in begins else within, pattern]


def _certain(pattern: str) -> tuple[str, str]:
    r"""What every text begins with that a pattern matches from its start, and the longest text that all have in them.

    For patterns as they are in the data: what is not understood is left out, and less is certain.
    """
    text = pattern.removeprefix("^").replace("\\.", _POINT).replace("\\-", "-")
    while (simpler := re.sub(r"\((?:[^()])*\)|\[[^\]]*\]", _OPEN, text)) != text:
        text = simpler
    text = re.sub(r"[\w:/\-]?(?:[?*]|\{[^}]*\})", _OPEN, text)
    if "|" in text:
        return "", ""
    runs = [run.replace(_POINT, ".") for run in re.split(rf"[{_OPEN}.+^$\\]\w?", text)]
    return runs[0], max(runs, key=len)


_POINT: Final = "\0"
_OPEN: Final = "\1"


def _model(model: Any, units: dict[str, int], places: dict[str, int]) -> list[Any]:
    clause = _clause(model.match)
    prices = (
        [[_condition(each.constraint), _rates(each.prices, units)] for each in model.prices]
        if isinstance(model.prices, list)
        else _rates(model.prices, units)
    )
    variants = [
        [each.when, _condition(each.constraint), _rates(each.prices, units)]
        for each in model.price_variants or ()
    ]
    sources = [places[each] for each in _sources(model)]
    line = [model.id, 0 if clause == model.id.lower() else clause, prices, variants or 0, sources or 0]
    while line[-1] == 0:
        line.pop()
    return line


def _sources(model: Any) -> list[str]:
    found = (each.rstrip(".") for each in _ADDRESS.findall(model.price_comments or ""))
    return list(dict.fromkeys(found))


def _condition(constraint: Any) -> Any:
    if constraint is None:
        return 0
    if hasattr(constraint, "start_date"):
        return constraint.start_date.isoformat()
    return [_minutes(constraint.start_time), _minutes(constraint.end_time)]


def _minutes(clock: Any) -> int:
    """Minutes after midnight, UTC."""
    if clock.second or clock.microsecond or clock.utcoffset() not in {None, timedelta(0)}:
        raise ValueError(f"a time of day that the table has no place for: {clock!r}")
    return clock.hour * 60 + clock.minute


def _rates(prices: Any, units: dict[str, int]) -> list[Any]:
    """Unit and rate by turns; a rate that depends on the length of the prompt is a list: rate, threshold, rate, …."""
    flat: list[Any] = []
    for key, value in vars(prices).items():
        if value is None:
            continue
        flat.append(units[key])
        if hasattr(value, "tiers"):
            flat.append(
                [_number(value.base), *(x for tier in value.tiers for x in (tier.start, _number(tier.price)))]
            )
        else:
            flat.append(_number(value))
    return flat


def _number(rate: Any) -> str:
    return f"{_RATE}{rate}{_RATE}"


def _clause(clause: Any) -> Any:  # noqa: PLR0911 - one for each condition
    """A text is matched as a whole; a list says how in its first place."""
    if clause is None:
        return None
    match type(clause).__name__:
        case "ClauseEquals":
            return clause.equals.lower()
        case "ClauseStartsWith":
            return ["^", clause.starts_with.lower()]
        case "ClauseEndsWith":
            return ["$", clause.ends_with.lower()]
        case "ClauseContains":
            return ["*", clause.contains.lower()]
        case "ClauseRegex":
            begins, within = _certain(clause.regex) if clause.regex.startswith("^") else ("", "")
            return ["/", clause.regex, begins, "" if within in begins else within]
        case "ClauseOr":
            return ["|", *map(_clause, clause.or_)]
        case "ClauseAnd":
            return ["&", *map(_clause, clause.and_)]
        case unknown:
            raise ValueError(f"a condition that the table has no place for: {unknown}")
