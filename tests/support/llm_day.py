"""A day of calls of language models, written beforehand: what is asked, what is answered, and the ledger of it.

Everything about a call follows from its number: the process that makes it, the provider that answers it and the test
that adds it up need tell each other nothing else.
"""

from __future__ import annotations

import random
import re
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from support.llm import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from support.llm import Asked

SAID: Final = "Six easy words say it all."
TENANTS: Final = ("acme", "borealis", "cobalt", "dune", "ember")
FEATURES: Final = ("chat", "search", "report")
UNKNOWN: Final = "house-model-7b"
"""A model that no list of prices has."""
READ: Final = 3
"""Parts of a stream that are read before it is left."""

KINDS: Final = MappingProxyType(
    {
        # OpenAI
        "chat": 20,
        "stream": 10,
        "quiet_stream": 10,
        "responses": 6,
        "responses_stream": 4,
        "embeddings": 8,
        "unknown_model": 3,
        "retried": 4,
        "refused": 2,
        "left": 3,
        "cancelled": 1,
        "broken_off": 2,
        "no_usage": 2,
        "negative": 1,
        "inconsistent": 1,
        # Anthropic
        "message": 12,
        "message_stream": 8,
        "message_left": 2,
        "message_retried": 2,
        # Google
        "content": 8,
        "content_stream": 6,
        "content_left": 1,
    }
)
"""What there is, and how often it is in proportion."""

_PER_TOKEN: Final = Decimal("0.000001")
RATES: Final = MappingProxyType(
    {
        "gpt-4o-mini": {"input": "0.15", "cache_read": "0.075", "output": "0.6"},
        "gpt-5-mini": {"input": "0.25", "cache_read": "0.025", "output": "2", "reasoning": "2"},
        "text-embedding-3-small": {"input": "0.02"},
        "claude-sonnet-4-6": {
            "input": "3",
            "cache_read": "0.3",
            "cache_write_5m": "3.75",
            "cache_write_1h": "6",
            "output": "15",
        },
        "claude-haiku-4-5": {
            "input": "1",
            "cache_read": "0.1",
            "cache_write_5m": "1.25",
            "cache_write_1h": "2",
            "output": "5",
        },
        "gemini-2.5-flash": {"input": "0.3", "cache_read": "0.03", "output": "2.5", "reasoning": "2.5"},
    }
)
"""US dollars for a million tokens, copied by hand from the data of genai-prices 0.2.3."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        number: Which.
        kind: One of `KINDS`.
        provider: `gen_ai.provider.name`.
        model: That is asked for.
        tenant: For whom.
        feature: For what.
        counts: Tokens of the whole answer, in disjoint classes; `input`, `cache_read`, …
    """

    number: int
    kind: str
    provider: str
    model: str
    tenant: str
    feature: str
    counts: Mapping[str, int]

    @property
    def text(self) -> str:
        """What is asked: the only thing that the provider knows a call by."""
        return f"call {self.number}"

    @property
    def streams(self) -> bool:
        return "stream" in self.kind or self.kind.endswith("left") or self.kind in {"cancelled", "broken_off"}


def call_of(number: int) -> Call:
    """Give a call."""
    chance = random.Random(number)
    (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
    provider, model = _whose(kind, chance)
    counts = {"input": chance.randint(5, 3000), "output": chance.randint(1, 900)}
    if kind == "embeddings":
        del counts["output"]
    elif chance.random() < 0.4:
        counts["cache_read"] = chance.randint(1, 2000)
    if provider == "anthropic" and chance.random() < 0.4:
        counts["cache_write_5m"] = chance.randint(1, 2000)
        counts["cache_write_1h"] = chance.choice((0, 0, chance.randint(1, 2000)))
    if model in {"gpt-5-mini", "gemini-2.5-flash"}:
        counts["reasoning"] = chance.randint(0, 700)
    tenant, feature = chance.choice(TENANTS), chance.choice(FEATURES)
    return Call(number, kind, provider, model, tenant, feature, counts)


def _whose(kind: str, chance: random.Random) -> tuple[str, str]:
    if kind.startswith("message"):
        return "anthropic", chance.choice(("claude-sonnet-4-6", "claude-haiku-4-5"))
    if kind.startswith("content"):
        return "gcp.gemini", "gemini-2.5-flash"
    if kind.startswith("responses"):
        return "openai", "gpt-5-mini"
    if kind == "embeddings":
        return "openai", "text-embedding-3-small"
    return "openai", UNKNOWN if kind == "unknown_model" else "gpt-4o-mini"


# --- the provider's side

_NEVER: Final = threading.Event()
_HELD: Final = MappingProxyType(
    {"left": READ + 1, "cancelled": 2, "message_left": READ + 3, "content_left": READ + 1}
)
"""Events of a stream that is left which are sent; on a busy machine all would have come before it is."""


def rule(asked: Asked) -> Answer | None:
    """What the providers answer."""
    found = re.search(rb"call (\d+)", asked.body)
    if found is None:
        return None
    call = call_of(int(found[1]))
    first = asked.headers.get("x-stainless-retry-count", "0") == "0"
    if first and call.kind in {"retried", "message_retried"}:
        status = 529 if call.provider == "anthropic" else 429
        return Answer(status=status, headers={"retry-after-ms": "1"})
    if call.kind == "refused":
        return Answer(status=400)
    return Answer(
        text=SAID,
        usage=_usage(call),
        break_after=READ if call.kind == "broken_off" else None,
        hold=_NEVER if call.kind in _HELD else None,
        hold_from=_HELD.get(call.kind, 0),
    )


def _usage(call: Call) -> dict[str, Any] | None:
    counts: Counter[str] = Counter(call.counts)
    if call.kind == "no_usage":
        return None
    if call.kind == "negative":
        counts["output"] = -1
    cached = counts["cache_read"]
    sent = counts["input"] + cached
    if call.kind == "inconsistent":
        cached = sent + 1
    if call.provider == "anthropic":
        return {
            "input_tokens": counts["input"],
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": counts["cache_write_5m"] + counts["cache_write_1h"],
            "cache_creation": {
                "ephemeral_5m_input_tokens": counts["cache_write_5m"],
                "ephemeral_1h_input_tokens": counts["cache_write_1h"],
            },
            "output_tokens": counts["output"],
        }
    if call.provider == "gcp.gemini":
        return {
            "promptTokenCount": sent,
            "cachedContentTokenCount": cached,
            "candidatesTokenCount": counts["output"],
            "thoughtsTokenCount": counts["reasoning"],
            "totalTokenCount": sent + counts["output"] + counts["reasoning"],
        }
    made = counts["output"] + counts["reasoning"]
    if call.kind == "embeddings":
        return {"prompt_tokens": sent, "total_tokens": sent}
    words = ("input", "output") if call.kind.startswith("responses") else ("prompt", "completion")
    return {
        f"{words[0]}_tokens": sent,
        f"{words[0]}_tokens_details": {"cached_tokens": cached},
        f"{words[1]}_tokens": made,
        f"{words[1]}_tokens_details": {"reasoning_tokens": counts["reasoning"]},
        "total_tokens": sent + made,
    }


# --- the ledger

Key = tuple[str, ...]


@dataclass(slots=True)
class Ledger:
    """What there is to be seen of all calls.

    Attributes:
        calls: By provider, model, tenant and feature; whatever became of them.
        failed: Calls with an error, by model.
        tokens: By model, tenant and class.
        money: US dollars by model and tenant.
        unpriced: Calls without a price, by model and reason.
        retries: Attempts that were made again, by model and status.
        abandoned: Streams that were not read to their end, by model and reason.
        faults: Reports of usage that cannot be true, by reason.
    """

    calls: Counter[Key] = field(default_factory=Counter[Key])
    failed: Counter[Key] = field(default_factory=Counter[Key])
    tokens: Counter[Key] = field(default_factory=Counter[Key])
    money: dict[Key, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    unpriced: Counter[Key] = field(default_factory=Counter[Key])
    retries: Counter[Key] = field(default_factory=Counter[Key])
    abandoned: Counter[Key] = field(default_factory=Counter[Key])
    faults: Counter[Key] = field(default_factory=Counter[Key])


_ABANDONED: Final = MappingProxyType(
    {
        "left": "closed",
        "message_left": "closed",
        "content_left": "closed",
        "cancelled": "cancelled",
        "broken_off": "broken_off",
    }
)
_UNPRICED: Final = MappingProxyType(
    {
        "unknown_model": "unknown_model",
        "no_usage": "no_usage",
        "left": "no_usage",
        "cancelled": "no_usage",
        "broken_off": "no_usage",
        "negative": "inconsistent_usage",
        "inconsistent": "inconsistent_usage",
    }
)
_FAULTS: Final = MappingProxyType({"negative": "negative", "inconsistent": "inconsistent"})


def add_up(calls: Iterable[Call]) -> Ledger:
    """Write the ledger."""
    ledger = Ledger()
    for call in calls:
        ledger.calls[call.provider, call.model, call.tenant, call.feature] += 1
        if call.kind in {"refused", "broken_off"}:
            ledger.failed[call.model,] += 1
        if call.kind in {"retried", "message_retried"}:
            ledger.retries[call.model, "529" if call.provider == "anthropic" else "429"] += 1
        if (how := _ABANDONED.get(call.kind)) is not None:
            ledger.abandoned[call.model, how] += 1
        if (fault := _FAULTS.get(call.kind)) is not None:
            ledger.faults[fault,] += 1
        if (reason := _UNPRICED.get(call.kind)) is not None:
            ledger.unpriced[call.model, reason] += 1
        used = told(call)
        for kind, count in used.items():
            if count:
                ledger.tokens[call.model, call.tenant, re.sub("_(5m|1h)$", "", kind)] += count
        if used and call.kind != "unknown_model":
            rates = RATES[call.model]
            amount = sum((count * Decimal(rates[kind]) for kind, count in used.items()), Decimal())
            ledger.money[call.model, call.tenant] += amount * _PER_TOKEN
    return ledger


def told(call: Call) -> Mapping[str, int]:
    """The tokens that the provider has told by the time that the call ended, in disjoint classes."""
    if call.kind == "message_left":
        # Anthropic tells the output with the last part; what comes with the first is a placeholder.
        return {**call.counts, "output": 0}
    if call.kind == "content_left":
        # The totals so far, of the last part that was read.
        parts = len(SAID.split())
        return {**call.counts, "output": call.counts["output"] * READ // parts}
    silent = {"refused", "no_usage", "left", "cancelled", "broken_off", "negative", "inconsistent"}
    return {} if call.kind in silent else call.counts
