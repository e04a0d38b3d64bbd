"""For whom and for what calls are made: tenant, feature, user. It stays in the process and goes with its context.

Not baggage, which would tell every service and provider that is called. A tenant and a feature are labels of metrics, within
their budgets; a user is on spans only, as a hash.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import inspect
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry import context as contexts

from otel_kpi.packs.contexts import Inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    Function = TypeVar("Function", bound=Callable[..., Any])

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
        pairs = ((TENANT, self.tenant), (FEATURE, self.feature))
        return {name: value for name, value in pairs if value is not None}

    def span_attributes(self) -> dict[str, AttributeValue]:
        """What stands on spans: the labels, and who the user is."""
        attributes = self.labels()
        if self.user is not None:
            if os.environ.get(_PLAIN_USER, "hash").strip().lower() == "id":
                attributes["user.id"] = self.user
            else:
                attributes["user.hash"] = _hash_of(self.user)
        return attributes


NOBODY: Final = Attribution()


def current(within: Context | None = None) -> Attribution:
    """For whom and for what calls in a context are made."""
    found = contexts.get_value(_KEY, context=within)
    return found if isinstance(found, Attribution) else NOBODY


class Attributed:
    """What `context()` gives: for `with`, `async with`, and as a decorator."""

    __slots__ = ("_inside", "_of")

    def __init__(self, of: Attribution) -> None:
        self._of = of
        self._inside: list[Inside] = []

    def __enter__(self) -> Attribution:
        outer = current()
        found = Attribution(
            tenant=self._of.tenant if self._of.tenant is not None else outer.tenant,
            feature=self._of.feature if self._of.feature is not None else outer.feature,
            user=self._of.user if self._of.user is not None else outer.user,
        )
        inside = Inside(contexts.set_value(_KEY, found))
        inside.__enter__()
        self._inside.append(inside)
        return found

    def __exit__(self, *error: object) -> None:
        self._inside.pop().__exit__(*error)

    async def __aenter__(self) -> Attribution:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__(*error)

    def __call__(self, function: Function) -> Function:
        """Have all calls that a function makes attributed; of generators and coroutines, too."""
        of = self._of
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def attributed_coroutine(*args: Any, **kwargs: Any) -> Any:
                with Attributed(of):
                    return await function(*args, **kwargs)

            return attributed_coroutine  # type: ignore[return-value]  # the same signature
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__qualname__} is a generator: use `with llm.context(…)` inside of it")

        @functools.wraps(function)
        def attributed(*args: Any, **kwargs: Any) -> Any:
            with Attributed(of):
                return function(*args, **kwargs)

        return attributed  # type: ignore[return-value]  # the same signature


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
    return value if type(value) is str else str(value)


@functools.lru_cache(maxsize=1024)
def _hash_of(user: str) -> str:
    key = os.environ.get(_HASH_KEY, "").encode()
    if key:
        return hmac.new(key, user.encode(errors="replace"), hashlib.sha256).hexdigest()[:16]
    return hashlib.sha256(user.encode(errors="replace")).hexdigest()[:16]
