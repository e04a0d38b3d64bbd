"""Spans that a test asks about, and what follows from them: cost, tokens, statements."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, overload

from otel_kpi.dev.statements import REPEATS, Repeat, repeats, statement_of
from otel_kpi.testing import drawing
from otel_kpi.testing.patterns import Pattern, fits, has

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from otel_kpi.dev.views import SpanKind, SpanView, Status

_NAMED: Final = 6
"""Spans that a line names."""
_AMOUNT, _CURRENCY = "gen_ai.usage.cost.amount", "gen_ai.usage.cost.currency"


class Spans(Sequence["SpanView"]):
    """Spans in the order in which they began.

    Args:
        spans: They.
        all_spans: Every span of the test, for messages and for who is below of whom.
        asked: How they were asked for.
    """

    def __init__(
        self, spans: Iterable[SpanView], all_spans: Sequence[SpanView], asked: str = "spans()"
    ) -> None:
        self._spans = sorted(spans, key=lambda span: span.start_ns)
        self._all = all_spans
        self._asked = asked

    @overload
    def __getitem__(self, index: int) -> SpanView: ...
    @overload
    def __getitem__(self, index: slice) -> Spans: ...
    def __getitem__(self, index: int | slice) -> SpanView | Spans:
        if isinstance(index, slice):
            return Spans(self._spans[index], self._all, self._asked)
        return self._spans[index]

    def __len__(self) -> int:
        return len(self._spans)

    def __repr__(self) -> str:
        names = ", ".join(span.name for span in self._spans[:_NAMED])
        return f"<{self._asked}: {len(self)} of {len(self._all)} spans{': ' + names if names else ''}{', …' if len(self) > _NAMED else ''}>"

    def __str__(self) -> str:
        return drawing.tree(self._all, self._spans)

    def where(  # noqa: PLR0913 - whatever one asks of a span
        self,
        name: Pattern | None = None,
        *,
        status: Status | None = None,
        kind: SpanKind | None = None,
        service: Pattern | None = None,
        scope: Pattern | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Spans:
        """Those of these spans that fit all that is given.

        Args:
            name: Whole, with `*` or `…` for anything, or a compiled expression.
            status: `"unset"`, `"ok"` or `"error"`.
            kind: `"server"`, `"client"`, `"internal"`, `"producer"` or `"consumer"`.
            service: `service.name`.
            scope: Name of the instrumentation.
            attributes: Values, patterns, `...` for any value, None where the key must be absent.
        """
        found = [
            span
            for span in self._spans
            if fits(span.name, name)
            and (status is None or span.status == status)
            and (kind is None or span.kind == kind)
            and fits(span.service, service)
            and fits(span.scope, scope)
            and has(span.attributes, attributes or {})
        ]
        given = {"status": status, "kind": kind, "service": service, "scope": scope, "attributes": attributes}
        words = [repr(name)] if name is not None else []
        words += [f"{key}={value!r}" for key, value in given.items() if value is not None]
        return Spans(found, self._all, f"spans({', '.join(words)})")

    def one(self) -> SpanView:
        """The only one.

        Raises:
            AssertionError: There are none or several; the message has the tree of all spans.
        """
        if len(self._spans) != 1:
            raise AssertionError(f"{self._asked} found {len(self)} spans, not one:\n{self}")
        return self._spans[0]

    def below(self, span: SpanView, *, directly: bool = False) -> Spans:
        """Those of these spans that are below of a span.

        Args:
            span: Under which.
            directly: Its children alone.
        """
        parents = {each.span_id: each.parent_id for each in self._all if each.trace_id == span.trace_id}

        def is_below(child: SpanView) -> bool:
            if child.trace_id != span.trace_id:
                return False
            if directly:
                return child.parent_id == span.span_id
            seen: set[str] = set()
            at = child.parent_id
            while at and at not in seen:
                if at == span.span_id:
                    return True
                seen.add(at)
                at = parents.get(at, "")
            return False

        return Spans(filter(is_below, self._spans), self._all, f"{self._asked}.below({span.name!r})")

    @property
    def errors(self) -> Spans:
        """Those with status error."""
        return self.where(status="error")

    @property
    def statements(self) -> Statements:
        """Those that are statements of a database; connecting and the bounds of transactions are none."""
        return Statements(
            (span for span in self._spans if statement_of(span.name, span.attributes) is not None),
            self._all,
            f"{self._asked}.statements",
        )

    @property
    def costs(self) -> dict[str, Decimal]:
        """What the calls of language models among them cost, by currency.

        Raises:
            AssertionError: There is no such call, or nobody knows what one of them cost: that is not nothing.
        """
        calls = [span for span in self._spans if _AMOUNT in span.attributes or _is_call(span)]
        if not calls:
            raise AssertionError(f"{self._asked} has no call of a language model:\n{self}")
        unpriced = [span for span in calls if _AMOUNT not in span.attributes]
        if unpriced:
            reasons = sorted(
                {str(span.attributes.get("kpi.llm.unpriced.reason", "no amount")) for span in unpriced}
            )
            raise AssertionError(
                f"{len(unpriced)} of {len(calls)} calls have no price ({', '.join(reasons)}), so what they cost is not known:\n"
                + drawing.tree(self._all, unpriced)
            )
        costs: dict[str, Decimal] = {}
        for span in calls:
            currency = str(span.attributes.get(_CURRENCY, ""))
            costs[currency] = costs.get(currency, Decimal(0)) + Decimal(str(span.attributes[_AMOUNT]))
        return costs

    @property
    def cost(self) -> Decimal:
        """What they cost, in the one currency in which all of them are.

        Raises:
            AssertionError: As `costs`; or they are in several currencies.
        """
        costs = self.costs
        if len(costs) != 1:
            raise AssertionError(
                f"{self._asked} cost {costs}: amounts of two currencies are never added; see .costs"
            )
        return next(iter(costs.values()))

    @property
    def input_tokens(self) -> int:
        """Tokens that were sent, as far as the calls say so."""
        return self._tokens("gen_ai.usage.input_tokens")

    @property
    def output_tokens(self) -> int:
        """Tokens that were made, as far as the calls say so."""
        return self._tokens("gen_ai.usage.output_tokens")

    def _tokens(self, key: str) -> int:
        values = [span.attributes[key] for span in self._spans if key in span.attributes]
        if not values:
            raise AssertionError(f"no span of {self._asked} has {key}:\n{self}")
        return sum(int(str(value)) for value in values)


def _is_call(span: SpanView) -> bool:
    return "gen_ai.request.model" in span.attributes and span.attributes.get("gen_ai.operation.name") in {
        "chat", "text_completion", "generate_content", "embeddings",
    }  # fmt: skip


class Statements(Spans):
    """Statements of databases."""

    @property
    def texts(self) -> list[str]:
        """What was asked, values left out, in order."""
        return [statement_of(span.name, span.attributes) or "" for span in self]

    def repeated(self, at_least: int = REPEATS) -> list[Repeat]:
        """Statements that were made again and again below of one span, or of none (N+1), the most frequent first.

        Args:
            at_least: How often is again and again.
        """
        # Without a span around it each is a trace of its own, and the test itself is what they have in common.
        asked = (
            (span.parent_id and span.trace_id + span.parent_id, text)
            for span, text in zip(self, self.texts, strict=True)
        )
        return repeats(asked, at_least=at_least)

    def assert_at_most(self, most: int) -> Self:
        """No more than so many statements.

        Raises:
            AssertionError: More; the message has each of them.
        """
        if len(self) > most:
            listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(self.texts, 1))
            raise AssertionError(f"{len(self)} statements, at most {most}:\n{listed}")
        return self

    def assert_not_repeated(self, at_least: int = REPEATS) -> Self:
        """No statement is made again and again below of one span, or of none.

        Raises:
            AssertionError: One is: with how often, and the tree of all spans.
        """
        found = self.repeated(at_least)
        if found:
            listed = "\n".join(f"  {repeat.times}× {repeat.statement}" for repeat in found)
            raise AssertionError(f"the same statement again and again (N+1):\n{listed}\n{self}")
        return self
