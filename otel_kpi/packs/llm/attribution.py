"""For whom and for what calls are made: tenant, feature, user. It stays in the process and goes with its context.

Not baggage, which would tell every service and provider that is called. A tenant and a feature are labels of metrics, within
their budgets; a user is on spans only, as a hash.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as contexts

from otel_kpi.packs.surroundings import Surroundings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

_KEY: Final = contexts.create_key("otel_kpi.llm.attribution")
_HASH_KEY: Final = "OTEL_KPI_REDACT_HASH_KEY"
_PLAIN_USER: Final = "OTEL_KPI_LLM_USER"
TENANT: Final = "kpi.tenant"
FEATURE: Final = "kpi.feature"


@dataclass(frozen=True, slots=True)
class Attribution:
    """For whom and for what.

    Attributes:
        tenant: `kpi.tenant`; None where nobody said.
        feature: `kpi.feature`.
        user: The user's id as the application gave it.
    """

    tenant: str | None = None
    feature: str | None = None
    user: str | None = None

    def labels(self) -> dict[str, AttributeValue]:
        """What stands on metrics and spans."""
        labels: dict[str, AttributeValue] = {}
        if self.tenant is not None:
            labels[TENANT] = self.tenant
        if self.feature is not None:
            labels[FEATURE] = self.feature
        return labels

    def span_attributes(self) -> dict[str, AttributeValue]:
        """What stands on spans: the labels, and who the user is."""
        attributes = self.labels()
        if self.user is not None:
            if os.environ.get(_PLAIN_USER, "hash").strip().lower() == "id":
                attributes["user.id"] = self.user
            else:
                attributes["user.hash"] = _hash_of(self.user, os.environ.get(_HASH_KEY, ""))
        return attributes


NOBODY: Final = Attribution()


def current(within: Context | None = None) -> Attribution:
    """For whom and for what calls in a context are made."""
    found = contexts.get_value(_KEY, context=within)
    return found if isinstance(found, Attribution) else NOBODY


class Attributed(Surroundings):
    """What `context()` gives: for `with`, `async with`, and as a decorator."""

    def __init__(self, of: Attribution) -> None:
        self.of = of

    def place(self) -> Context:
        """The context within: what is not said here is as outside."""
        said, outer = self.of, current()
        found = Attribution(
            tenant=outer.tenant if said.tenant is None else said.tenant,
            feature=outer.feature if said.feature is None else said.feature,
            user=outer.user if said.user is None else said.user,
        )
        return contexts.set_value(_KEY, found)


def context(tenant: str | None = None, feature: str | None = None, user: str | None = None) -> Attributed:
    """Say for whom and for what the calls within are made.

    Args:
        tenant: The customer who pays, a short name; at most 200 distinct ones on metrics, more are `other`.
        feature: What of the application it is for, `"summary"`; at most 60.
        user: The user's id. It is on spans only, as `user.hash`: keyed by `OTEL_KPI_REDACT_HASH_KEY`.

    What is None is as outside. Within one thread, task and what they start; a thread pool needs OpenTelemetry's
    threading instrumentor, which is on by default.
    """
    return Attributed(Attribution(_text(tenant), _text(feature), _text(user)))


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    try:
        return value if type(value) is str else str(value)
    except Exception:
        return None  # its own text raises


@functools.lru_cache(maxsize=1024)
def _hash_of(user: str, key: str) -> str:
    text = user.encode(errors="replace")
    if key:
        return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()[:16]
    return hashlib.sha256(text).hexdigest()[:16]
