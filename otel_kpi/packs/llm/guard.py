"""A guard around a piece of work: no further call of a language model once it has spent what it may.

    with llm.budget("0.50 USD", tokens=20_000, on_exceeded="raise"):
        answer(question)

What a call costs is known when it has ended, so the call that crosses the limit is made, and the next one is not. It
raises nothing unless `on_exceeded="raise"` was asked for; then it is `BudgetExceeded`, before the call, and nothing
else.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from opentelemetry import context as contexts

from otel_kpi.packs.faults import failed
from otel_kpi.packs.llm import budgets
from otel_kpi.packs.llm.budget_terms import Money, money
from otel_kpi.packs.llm.prices.tariff import ARITHMETIC
from otel_kpi.packs.refusals import Refused
from otel_kpi.packs.surroundings import Surroundings

if TYPE_CHECKING:
    from opentelemetry.context import Context

_KEY: Final = contexts.create_key("otel_kpi.llm.budget")
_ACTIONS: Final = ("event", "raise")


class BudgetExceeded(Refused):
    """A call of a language model was not made, since the work that it is for has spent what it may.

    Attributes:
        limit: What was crossed, `0.50 USD` or `20000 tokens`.
        spent: What was spent, in the same.
    """

    def __init__(self, limit: str, spent: str) -> None:
        super().__init__(f"no further call of a language model: {spent} of {limit} are spent")
        self.limit = limit
        self.spent = spent

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep it whole on its way out of a worker process."""
        return type(self), (self.limit, self.spent)


class Guard(Surroundings):
    """What one piece of work may spend, and has spent; made by `budget()`.

    For `with` and `async with`, and as a decorator, where each call of the function has a budget of its own. Guards
    inside of one another all count, and the first that is crossed refuses.

    Attributes:
        spent: In the currency of the limit; 0 where there is no limit in money.
        used: Tokens, sent and made.
        unpriced: Calls of which nobody knows what they cost: they are in `used` and not in `spent`.
    """

    __slots__ = ("_amount", "_lock", "_raises", "_said", "_tokens", "spent", "unpriced", "used")

    def __init__(self, amount: Money | None, tokens: int | None, *, raises: bool) -> None:
        self._amount = amount
        self._tokens = tokens
        self._raises = raises
        self._lock = threading.Lock()
        self._said = False
        self.spent = Decimal(0)
        self.used = 0
        self.unpriced = 0

    @property
    def exceeded(self) -> bool:
        """Whether a limit is reached."""
        return self._crossed() is not None

    @property
    def remaining(self) -> Decimal | None:
        """Money that is left, never less than 0; None where there is no limit in money."""
        return (
            None
            if self._amount is None
            else max(ARITHMETIC.subtract(self._amount.amount, self.spent), Decimal(0))
        )

    def check(self) -> None:
        """Raise if a limit of this guard is reached, whatever was asked for in `on_exceeded`.

        Raises:
            BudgetExceeded: It is.
        """
        crossed = self._crossed()
        if crossed is not None:
            raise BudgetExceeded(*crossed)

    def _crossed(self) -> tuple[str, str] | None:
        limit = self._amount
        if limit is not None and self.spent >= limit.amount:
            return str(limit), str(Money(self.spent, limit.currency))
        if self._tokens is not None and self.used >= self._tokens:
            return f"{self._tokens} tokens", f"{self.used} tokens"
        return None

    @property
    def refuses(self) -> bool:
        """Whether it was asked to refuse further calls."""
        return self._raises

    def count(self, amount: Decimal | None, currency: str | None, tokens: int) -> None:
        """Count a call that has ended. Never raises.

        Args:
            amount: What it cost; None where nobody knows.
            currency: Of the amount.
            tokens: That were sent and made.
        """
        try:
            limit = self._amount
            worth = None
            if amount is not None and currency is not None and limit is not None:
                worth = budgets.converted(amount, currency, limit.currency)
            with self._lock:
                self.used += tokens
                if worth is not None:
                    self.spent = ARITHMETIC.add(self.spent, worth)
                elif amount is None or limit is not None:
                    self.unpriced += 1
                crossed = None if self._said else self._crossed()
                self._said = self._said or crossed is not None
            if crossed is not None:
                budgets.tell_guard(*crossed)
        except Exception as error:
            failed("what a guarded call cost", error)

    # --- around a piece of work

    def place(self) -> Context:
        """The context within, with this guard before those around it."""
        outer = current()
        return contexts.set_value(_KEY, outer if self in outer else (self, *outer))

    def again(self) -> Guard:
        """One of its own for each call of a decorated function."""
        return Guard(self._amount, self._tokens, raises=self._raises)


def budget(
    amount: str | None = None,
    *,
    tokens: int | None = None,
    on_exceeded: Literal["event", "raise"] = "event",
) -> Guard:
    """Say what a piece of work may spend on language models.

    Args:
        amount: At most so much, `"0.50 USD"`. What is charged in another currency needs its rate in
            `OTEL_KPI_CURRENCY_RATES`.
        tokens: At most so many, sent and made.
        on_exceeded: `"event"` tells of it, in the event `kpi.llm.budget.crossed`, and lets the work go on. `"raise"` also
            refuses further calls: they raise `BudgetExceeded` before anything is sent.

    Raises:
        ValueError: What was given is no limit, or one that could never be reached.

    Counted are the calls that instrumentors see and those of `llm.call()`, within one thread, task and what they start,
    when they end: of calls that run at the same time several may cross the limit together.
    """
    if amount is None and tokens is None:
        raise ValueError('a budget has a limit: budget("0.50 USD"), budget(tokens=20_000)')
    if on_exceeded not in _ACTIONS:
        raise ValueError(f"on_exceeded is one of {', '.join(_ACTIONS)}, not {on_exceeded!r}")
    if tokens is not None and (type(tokens) is not int or tokens <= 0):
        raise ValueError(f"tokens is a whole number above 0, not {tokens!r}")
    limit = None if amount is None else money(amount)
    if limit is not None and (remedy := budgets.remedy(limit.currency)) is not None:
        raise ValueError(f"{limit}: {remedy}")
    return Guard(limit, tokens, raises=on_exceeded == "raise")


def current(within: Context | None = None) -> tuple[Guard, ...]:
    """The guards of a context, the innermost first."""
    found = contexts.get_value(_KEY, context=within)
    return found if isinstance(found, tuple) else ()


def before_call(within: Context | None = None) -> None:
    """Ask whether a call may be made; instrumentors do before they begin a span.

    Raises:
        BudgetExceeded: A guard around it refuses further calls.
    """
    for guard in current(within):
        if guard.refuses:
            guard.check()
