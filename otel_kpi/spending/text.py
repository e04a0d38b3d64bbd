"""A report for people, for programs and for spreadsheets. Pure."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.spending.printable import printable
from otel_kpi.spending.report import TOKEN_CLASSES, Counts, Report, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

_ZERO: Final = Decimal(0)
_NOTHING: Final = "–"
_HEADINGS: Final = {
    "input": "input",
    "cache_read": "cached",
    "cache_write": "cache write",
    "output": "output",
}
_LEAST_SHOWN: Final = Decimal("0.01")


def table(report: Report) -> str:
    """What a person reads."""
    lines = [f"What language models cost, {report.period}"]
    if not report.rows:
        return "\n".join((*lines, "", "Nothing: no call, no token and no cost is known of this time."))
    lines += ["", *_lines(report), *_unpriced(report), *_changes(report), *_outlook(report)]
    for (given, wanted), rate in sorted(report.rates.items()):
        lines.append(f"1 {given} = {rate.normalize():f} {wanted}, as the processes were told.")
    if report.kept:
        lines.append(f"There is no rate for {', '.join(report.kept)}: these amounts stay as they are.")
    return "\n".join(lines)


def _lines(report: Report) -> list[str]:
    classes = [name for name in TOKEN_CLASSES if report.total.now.tokens.get(name)]
    heads = [
        *report.by,
        "calls",
        *(_HEADINGS.get(name, name) for name in classes),
        "cost",
        "",
        "share",
        "before",
        "Δ",
    ]
    rows: list[Sequence[str]] = []
    for row in report.rows:
        rows += _cells(row, classes, report.total.now)
    total = Row(
        ("total", *[""] * (len(report.by) - 1)) if report.by else (), report.total.now, report.total.before
    )
    totals = _cells(total, classes, None)
    texts = len(report.by)
    widths = [max(len(cells[index]) for cells in (heads, *rows, *totals)) for index in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if index < texts or not heads[index] else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    rule = "─" * len(line(["x" * width for width in widths]))
    # One line that is all there is needs no sum.
    below = [rule, *(line(cells) for cells in totals)] if report.by else []
    return [line(heads), rule, *(line(cells) for cells in rows), *below]


def _cells(row: Row, classes: Sequence[str], total: Counts | None) -> list[list[str]]:
    """The lines of a row: one for each currency, the counts in the first."""
    counts = row.now
    head = [
        *map(printable, row.key),
        _count(counts.calls),
        *(_count(counts.tokens.get(name, 0)) for name in classes),
    ]
    currencies = _currencies(row)
    if not currencies:
        return [[*head, _NOTHING, "", "", _NOTHING, ""]]
    lines: list[list[str]] = []
    for currency in currencies:
        now, before = counts.cost.get(currency), row.before.cost.get(currency)
        share = ""
        if total is not None and now is not None and (whole := total.cost.get(currency)):
            share = f"{now / whole:.1%}"
        lines.append(
            [
                *(head if not lines else [""] * len(head)),
                _NOTHING if now is None else money(now),
                currency,
                share,
                _NOTHING if before is None else money(before),
                _difference((now or _ZERO) - (before or _ZERO)),
            ]
        )
    return lines


def _unpriced(report: Report) -> list[str]:
    if not report.total.now.unpriced:
        return []
    lines = ["", "Not in any sum of money, since nobody knows what they cost:"]
    for row in report.rows:
        for reason, calls in sorted(row.now.unpriced.items()):
            named = printable(" ".join(row.key)) or "all"
            lines.append(
                f"  {named}: {_count(calls)} {'call' if calls == 1 else 'calls'}, {printable(reason)}"
            )
    lines.append("  `otel-kpi prices check` says what to do about each.")
    return lines


def _changes(report: Report) -> list[str]:
    """Why it costs more or less than in the time before, the greatest difference first."""
    if report.total.before.is_empty:
        return []
    changes = [
        (printable(" ".join(row.key)), currency, change)
        for row in report.rows
        for currency in _currencies(row)
        if (change := row.change(currency)).total
    ]
    changes.sort(key=lambda each: -abs(each[2].total))
    if not changes:
        return []
    if len(report.rows) > 1:
        changes += [("total", currency, report.change(currency)) for currency in _currencies(report.total)]
    heads = ["", "", "Δ", "calls", "tokens a call", "price a token"]
    cells = [
        [name, currency, *map(_difference, (change.total, change.calls, change.tokens, change.price))]
        for name, currency, change in changes
    ]
    widths = [max(len(line[index]) for line in (heads, *cells)) for index in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)  # noqa: PLR2004 - the name and the currency
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (heads, *cells)
    ]
    return ["", f"Why it is another sum than {report.period.before}:", *(f"  {line}" for line in lines)]


def _outlook(report: Report) -> list[str]:
    lines: list[str] = [""]
    for currency, outlook in sorted(report.outlook.items()):
        said = [
            f"{what} {money(amount)} {currency}"
            for what, amount in (
                ("today", outlook.today),
                ("at the pace of the last hour a day costs", outlook.run_rate),
                ("this month", outlook.month),
                ("when it ends", outlook.month_projected),
            )
            if amount is not None
        ]
        lines.append("; ".join(said) + ".")
    if not report.outlook:
        lines.append(
            "Today's pace and the end of the month are not known: they come from the rules of llm.yml in Prometheus, "
            "in all, by tenant and by model."
        )
    lines[1] = lines[1][0].upper() + lines[1][1:]
    return lines


def _currencies(row: Row) -> list[str]:
    return sorted({*row.now.cost, *row.before.cost})


def money(amount: Decimal) -> str:
    """An amount: cents and their hundredths, and of what is less than a cent the first digits that are there."""
    if amount and abs(amount) < _LEAST_SHOWN:
        return f"{amount:.3g}" if abs(amount) >= Decimal("0.0001") else f"{amount:.9f}".rstrip("0")
    return f"{amount:,.4f}"


def _difference(amount: Decimal) -> str:
    return f"{'+' if amount > 0 else ''}{money(amount)}" if amount else "0"


def _count(number: int) -> str:
    return f"{number:,}"


def as_json(report: Report) -> dict[str, Any]:
    """What a program reads; amounts are texts, to nine decimals."""
    return {
        "from": report.period.start,
        "to": report.period.end,
        "by": list(report.by),
        "rows": [{**dict(zip(report.by, row.key, strict=True)), **_as_json(row, row)} for row in report.rows],
        "total": _as_json(report.total, report),
        "outlook": {
            currency: {
                name: None if amount is None else str(amount)
                for name, amount in (
                    ("today", outlook.today),
                    ("run_rate_per_day", outlook.run_rate),
                    ("month", outlook.month),
                    ("month_projected", outlook.month_projected),
                )
            }
            for currency, outlook in sorted(report.outlook.items())
        },
        "rates": [
            {"from": given, "to": to, "rate": str(rate)} for (given, to), rate in sorted(report.rates.items())
        ],
        "not_converted": list(report.kept),
    }


def _as_json(row: Row, of: Row | Report) -> dict[str, Any]:
    changes = {currency: of.change(currency) for currency in _currencies(row)}
    return {
        "now": _counts(row.now),
        "before": _counts(row.before),
        "change": {
            currency: {
                "total": str(change.total),
                "calls": str(change.calls),
                "tokens_per_call": str(change.tokens),
                "price_per_token": str(change.price),
            }
            for currency, change in changes.items()
        },
    }


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "calls": counts.calls,
        "tokens": dict(sorted(counts.tokens.items())),
        "cost": {currency: str(cost) for currency, cost in sorted(counts.cost.items())},
        "unpriced": dict(sorted(counts.unpriced.items())),
    }


def as_csv(report: Report) -> str:
    """What a spreadsheet reads: one line for each row and currency, without totals."""
    written = io.StringIO()
    out = csv.writer(written, lineterminator="\n")
    out.writerow(
        [
            *report.by,
            "calls",
            *(f"{name}_tokens" for name in TOKEN_CLASSES),
            "unpriced_calls",
            "currency",
            "cost",
            "cost_before",
        ]
    )
    for row in report.rows:
        counts: Counts | None = row.now
        for currency in _currencies(row) or [""]:
            # Counted once, whatever the currencies.
            now = counts or Counts()
            numbers = [
                now.calls,
                *(now.tokens.get(name, 0) for name in TOKEN_CLASSES),
                sum(now.unpriced.values()),
            ]
            costs = [row.now.cost.get(currency, ""), row.before.cost.get(currency, "")]
            out.writerow([*map(_cell, row.key), *numbers, currency, *costs])
            counts = None
    return written.getvalue()


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula, and no terminal for a command."""
    text = printable(text)
    return (
        f"'{text}"
        if text.startswith(("=", "+", "@", "\\t", "\\r")) or (text.startswith("-") and text != "-")
        else text
    )
