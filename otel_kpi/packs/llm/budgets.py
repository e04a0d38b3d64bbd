"""Soft limits of what language models may cost in a day and in a month: who crosses one is told of, and nothing stops.

A process sees what it spends itself. Of several workers each tells when it alone has spent what all of them may; that
all of them together have, Prometheus tells, whose rules add them up (deploy/prometheus/rules/llm.yml) and compare
with `kpi_llm_budget_limit`, which every process reports. docs/budgets.md shows both.

Days and months are those of UTC. An amount counts to the period in which its call ended.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from opentelemetry._logs import SeverityNumber

from otel_kpi import forks, record
from otel_kpi.packs.attributes import TENANT
from otel_kpi.packs.events import emit
from otel_kpi.packs.faults import failed
from otel_kpi.packs.llm import budget_instruments, handles
from otel_kpi.packs.llm.budget_terms import EACH, Budget, parse
from otel_kpi.packs.llm.call_attributes import CURRENCY
from otel_kpi.packs.llm.prices import exchange
from otel_kpi.packs.llm.prices.tariff import ARITHMETIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Rate = Callable[[str, str, float], Decimal | None]
    """How much of the second currency 1 of the first is, at a moment; None where nobody said."""

_logger: Final = logging.getLogger("otel_kpi.llm")

SETTING: Final = "OTEL_KPI_LLM_BUDGETS"
RATES: Final = "OTEL_KPI_CURRENCY_RATES"
PRICED_IN: Final = "USD"
"""What the price table is in; a price file, and a provider that says what it charged, may be in another."""
MOST_TENANTS: Final = 200
"""Tenants with sums of their own; a further one is in what is overall, and in `tenant other`."""
_DAY: Final = 86_400
_ZERO: Final = Decimal(0)


class Tally:
    """What was spent of one budget in the period that is, and in the one before.

    The one before stays, since a clock that is put right at midnight goes there and back.
    """

    __slots__ = ("_before", "budget", "crossed", "key", "spent", "tenant")

    def __init__(self, budget: Budget, tenant: str | None) -> None:
        self.budget = budget
        self.tenant = tenant
        self.key = 0
        self.spent = _ZERO
        self.crossed = False
        self._before: tuple[int, Decimal, bool] = (0, _ZERO, False)

    def begin(self, key: int) -> None:
        """Go on in another period, which may be the one before."""
        before, self._before = self._before, (self.key, self.spent, self.crossed)
        self.key, self.spent, self.crossed = before if before[0] == key else (key, _ZERO, False)


class Budgets:
    """The budgets of a process, and what it has spent of them.

    Args:
        budgets: What may be spent.
        rate: Between two currencies.
        clock: Seconds since 1970.
        crossed: Called with each tally that has just been crossed.
        uncounted: Called with the currency of an amount that some budget could not count, and that budget's.
    """

    def __init__(
        self,
        budgets: Iterable[Budget],
        rate: Rate,
        *,
        clock: Callable[[], float] = time.time,
        crossed: Callable[[Tally], None] = lambda _tally: None,
        uncounted: Callable[[str, str], None] = lambda _given, _wanted: None,
    ) -> None:
        self.budgets = tuple(budgets)
        self._rate = rate
        self._clock = clock
        self._crossed = crossed
        self._uncounted = uncounted
        self._lock = threading.Lock()
        self._overall = tuple(Tally(each, None) for each in self.budgets if each.tenant is None)
        self._tenants: dict[str | None, tuple[Tally, ...]] = {None: ()}
        self._factors: dict[tuple[str, str], Decimal | None] = {}
        self._begins = self._ends = 0.0
        self._keys = {"day": 0, "month": 0}

    def spent(self, amount: Decimal, currency: str, tenant: str | None) -> None:
        """Count what a call cost.

        Args:
            amount: How much.
            currency: ISO 4217.
            tenant: For whom; None where nobody said.
        """
        crossed: list[Tally] = []
        without = None
        now = self._clock()
        with self._lock:
            if not self._begins <= now < self._ends:
                self._turn(now)
            of_tenant = self._tenants.get(tenant)
            for tally in self._overall + (self._of(tenant) if of_tenant is None else of_tenant):
                budget = tally.budget
                key = self._keys[budget.period]
                if tally.key != key:
                    tally.begin(key)
                limit = budget.limit
                if currency != limit.currency:
                    factor = self._factor(currency, limit.currency, now)
                    if factor is None:
                        without = limit.currency
                        continue
                    tally.spent = ARITHMETIC.fma(amount, factor, tally.spent)
                else:
                    tally.spent = ARITHMETIC.add(tally.spent, amount)
                if tally.spent >= limit.amount and not tally.crossed:
                    tally.crossed = True
                    crossed.append(tally)
        for tally in crossed:
            self._crossed(tally)
        if without is not None:
            self._uncounted(currency, without)

    def tallies(self) -> tuple[Tally, ...]:
        """What was counted, overall first."""
        with self._lock:
            return (*self._overall, *(each for found in self._tenants.values() for each in found))

    def _turn(self, now: float) -> None:
        """Find the day and the month of a moment, and ask for the rates anew."""
        try:
            day = int(now // _DAY)
            moment = time.gmtime(now)
        except (ValueError, OverflowError, OSError):
            return  # a clock that tells no time ends no day
        self._begins, self._ends = float(day * _DAY), float((day + 1) * _DAY)
        self._keys = {"day": day, "month": moment.tm_year * 12 + moment.tm_mon}
        self._factors.clear()

    def _factor(self, given: str, wanted: str, now: float) -> Decimal | None:
        try:
            return self._factors[given, wanted]
        except KeyError:
            factor = self._factors[given, wanted] = self._rate(given, wanted, now)
            return factor

    def _of(self, tenant: str | None) -> tuple[Tally, ...]:
        own = [each for each in self.budgets if each.tenant == tenant]
        # Those that the declaration names have their place; it is for the others that there must be an end.
        if not own and len(self._tenants) > MOST_TENANTS:
            tenant = record.OTHER
            if tenant in self._tenants:
                return self._tenants[tenant]
        periods = {each.period for each in own}
        others = [each for each in self.budgets if each.tenant == EACH and each.period not in periods]
        found = self._tenants[tenant] = tuple(Tally(each, tenant) for each in (*own, *others))
        return found


# --- those of this process


class _Process:
    """What is in force, made when it is first asked for: code may declare something before, a setting is read late."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.declared: str | None = None
        self.current: Budgets | None = None
        self.said: set[str] = set()

    def budgets(self) -> Budgets:
        """The budgets in force."""
        found = self.current
        if found is None:
            with self.lock:
                found = self.current = self.current or self._made()
        return found

    def _made(self) -> Budgets:
        text = os.environ.get(SETTING, "") if self.declared is None else self.declared
        budgets, problems = parse(text)
        usable: list[Budget] = []
        for budget in budgets:
            refused = remedy(budget.limit.currency)
            if refused is None:
                usable.append(budget)
            else:
                problems += (f"{str(budget)!r} is not used: {refused}",)
        for problem in problems:
            self.say(f"a budget of language models: {problem}")
        return Budgets(usable, rate, crossed=_tell, uncounted=_not_counted)

    def say(self, line: str) -> None:
        """Log a line once."""
        if line not in self.said and len(self.said) < 100:  # noqa: PLR2004 - more is no news
            self.said.add(line)
            _logger.warning("%s", line)

    def renew(self) -> None:
        """Begin with nothing spent, in a forked child: what its parent spent is the parent's."""
        self.lock = threading.RLock()
        self.current = None


_process: Final = _Process()
forks.in_child(_process.renew)


def declare(text: str) -> None:
    """Say what language models may cost, in code; it takes the place of `OTEL_KPI_LLM_BUDGETS`.

    Args:
        text: As in the setting: `"day=50 EUR; month=1000 EUR; tenant acme day=10 EUR"`.

    What was spent until then is not counted. An entry that cannot be used is named in the log, and the others count.
    Never raises.
    """
    try:
        with _process.lock:
            _process.declared = str(text)
            _process.current = None
            _process.budgets()
    except Exception as error:
        failed("a budget", error)


def spent(amount: Decimal, currency: str, tenant: str | None) -> None:
    """Count what a call cost, against every budget that it belongs to. Never raises.

    Args:
        amount: 0 or more.
        currency: ISO 4217.
        tenant: `kpi.tenant` of the call; None where nobody said.
    """
    try:
        budgets = _process.current or _process.budgets()
        if budgets.budgets:
            budgets.spent(amount, currency, tenant)
    except Exception as error:
        failed("what was spent of a budget", error)


def _tell(tally: Tally) -> None:
    budget, limit = tally.budget, tally.budget.limit
    handles.budget_crossed.add(1, budget.scope, budget.period, tally.tenant, limit.currency)
    whose = "" if tally.tenant is None else f" of tenant {tally.tenant}"
    emit(
        handles.SCOPE,
        budget_instruments.BUDGET_CROSSED_EVENT.name,
        {
            budget_instruments.BUDGET_SCOPE.name: budget.scope,
            budget_instruments.BUDGET_PERIOD.name: budget.period,
            TENANT.name: tally.tenant,
            CURRENCY.name: limit.currency,
            budget_instruments.BUDGET_LIMIT_AMOUNT.name: str(limit.amount),
            budget_instruments.BUDGET_SPENT_AMOUNT.name: str(tally.spent),
        },
        severity=SeverityNumber.WARN,
        body=f"language models{whose} have cost {tally.spent:f} {limit.currency} in this process this "
        f"{budget.period}; the budget is {limit}",
    )


def tell_guard(limit: str, used: str) -> None:
    """Tell that a piece of work has spent what it may. Never raises."""
    try:
        handles.budget_crossed.add(1, "guard", None, None, None)
        emit(
            handles.SCOPE,
            budget_instruments.BUDGET_CROSSED_EVENT.name,
            {
                budget_instruments.BUDGET_SCOPE.name: "guard",
                budget_instruments.BUDGET_LIMIT_AMOUNT.name: limit,
                budget_instruments.BUDGET_SPENT_AMOUNT.name: used,
            },
            severity=SeverityNumber.WARN,
            body=f"a piece of work has spent {used} on language models; its budget is {limit}",
        )
    except Exception as error:
        failed("a budget that was crossed", error)


def _limits() -> list[tuple[float, str, str, str | None, str]]:
    """Each limit in every currency with a rate to its own: shares of it that are spent in several then add up."""
    now = time.time()
    currencies = {each.native for each in _known()} | {each.currency for each in _known()}
    found: list[tuple[float, str, str, str | None, str]] = []
    for budget in _process.budgets().budgets:
        limit = budget.limit
        for currency in sorted(currencies | {limit.currency}):
            factor = rate(currency, limit.currency, now)
            if factor is not None:
                amount = float(ARITHMETIC.divide(limit.amount, factor))
                found.append((amount, budget.scope, budget.period, budget.tenant, currency))
    return found


def _rates() -> list[tuple[float, str, str]]:
    now = time.time()
    pairs = {(each.native, each.currency) for each in _known()}
    both = sorted(pairs | {(wanted, given) for given, wanted in pairs})
    found = ((rate(given, wanted, now), given, wanted) for given, wanted in both)
    return [(float(factor), given, wanted) for factor, given, wanted in found if factor is not None]


record.observe(budget_instruments.BUDGET_LIMIT, _limits, handles.SCOPE)
record.observe(budget_instruments.CURRENCY_RATE, _rates, handles.SCOPE)


# --- money in another currency


@lru_cache(maxsize=8)
def _exchanges(text: str) -> tuple[exchange.Exchange, ...]:
    found: list[exchange.Exchange] = []
    for part in text.split(","):
        if part.strip():
            try:
                found.append(exchange.read(part))
            except ValueError:
                continue  # the prices' business: they name it
    return tuple(found)


def _known() -> tuple[exchange.Exchange, ...]:
    return _exchanges(os.environ.get(RATES, ""))


def rate(given: str, wanted: str, at: float) -> Decimal | None:
    """How much of one currency 1 of another is; None where nobody said.

    Args:
        given: The currency of an amount.
        wanted: That of a limit.
        at: When, in seconds since 1970.
    """
    if given == wanted:
        return Decimal(1)
    exchanges = _known()
    there = exchange.in_force(exchanges, given, wanted, at)
    if there is not None:
        return there.rate
    back = exchange.in_force(exchanges, wanted, given, at)
    return None if back is None else ARITHMETIC.divide(1, back.rate)


def remedy(wanted: str) -> str | None:
    """What to do so that a limit in a currency can be reached; None where it can."""
    if rate(PRICED_IN, wanted, time.time()) is not None:
        return None
    return (
        f"calls are priced in {PRICED_IN} and nobody said what that is in {wanted}; set {RATES} to "
        f"{PRICED_IN}:{wanted}= and the rate, or write the limit in {PRICED_IN}"
    )


def _not_counted(given: str, wanted: str) -> None:
    handles.budget_uncounted.add(1, given)
    _process.say(
        f"what is charged in {given} is in no budget in {wanted}: set {RATES} to {given}:{wanted}= and the rate"
    )


def converted(amount: Decimal, given: str, wanted: str) -> Decimal | None:
    """An amount in another currency; None, counted and said once, where there is no rate."""
    if given == wanted:
        return amount
    factor = rate(given, wanted, time.time())
    if factor is None:
        _not_counted(given, wanted)
        return None
    return ARITHMETIC.multiply(amount, factor)
