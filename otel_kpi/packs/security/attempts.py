"""One request, one authentication: what several layers say of it is counted once.

PyJWT refuses a token, the framework's authenticator turns that into an exception of its own, the framework into a
401: three layers, one failure. And with two keys in rotation the first refuses what the second accepts: that is
no failure. So what layers say of a request is gathered, and decided when its response begins:

1. What the application itself says with `security.authentication()` counts as often as it says it, and nothing else.
2. What a framework says counts before what a library says. It knows the scheme, the library knows the reason.
3. Of several tokens that a library looked at, one that is good is enough.
4. Where credentials came and nobody judged them, the status says: 401 and 403 are failures. Below 300 is a success,
   if there is no answer without credentials.

Outside of a request, and after its response has begun, each statement counts at once.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from otel_kpi.packs.security.origin import NOWHERE, Moment, Origin, now
from otel_kpi.packs.security.verdicts import Verdict, count_authentication, count_intrusion

if TYPE_CHECKING:
    from contextvars import Token

_UNSPECIFIC: Final = frozenset({"invalid_credentials", "invalid_token"})
"""Reasons of a framework that a library may know better."""
_REFUSALS: Final = {401: "invalid_credentials", 403: "permission_denied"}
_ELSEWHERE: Final = 300
"""The first status that does not say that a request was answered: it may lead to the login."""


@dataclass(slots=True)
class Attempt:
    """What is said of one request.

    Attributes:
        origin: Where it comes from, and whether Django answers it.
        limited: Whether a rate limit turned it away.
        hint: Why a backend refused, for the framework that only hears that it did.
        settled: Whether its response has begun.
    """

    origin: Origin
    limited: bool = False
    hint: str = ""
    settled: bool = False
    _own: bool = False
    _own_intrusion: bool = False
    _judged: Verdict | None = None
    _accepted: Verdict | None = None
    _refused: Verdict | None = None
    _offered: str | None = None
    _required: bool = False
    _attacks: dict[str, Moment] = field(default_factory=dict[str, Moment])

    @property
    def failed(self) -> bool:
        """Whether a framework has refused it."""
        return self._judged is not None and self._judged.reason is not None

    @property
    def believed(self) -> bool:
        """Whether a framework has believed it."""
        return self._judged is not None and self._judged.reason is None

    def judge(self, scheme: str | None, reason: str | None) -> None:
        """A framework's word: the last one counts, but the first failure keeps its reason."""
        before = self._judged
        if before is not None and before.reason is not None and reason is not None:
            # The outer layer knows the scheme, the inner one the reason.
            self._judged = Verdict(scheme or before.scheme, before.reason, before.when)
            return
        if scheme is None and before is not None:
            scheme = before.scheme
        self._judged = Verdict(scheme, reason)

    def try_(self, scheme: str, reason: str | None) -> None:
        """A library's word on one token: of several, the first that is good or else the first that is not."""
        if reason is None:
            self._accepted = self._accepted or Verdict(scheme, None)
        else:
            self._refused = self._refused or Verdict(scheme, reason)

    def offer(self, scheme: str, *, required: bool) -> None:
        """Credentials came; whether they are good somebody else says."""
        self._offered, self._required = scheme, required

    def attack(self, kind: str) -> None:
        """A framework takes the request for an attack: once for each kind, however many layers see the exception."""
        self._attacks.setdefault(kind, now())

    def speak(self, *, intrusion: bool = False) -> None:
        """The application itself says what it thinks of the request."""
        if intrusion:
            self._own_intrusion = True
        else:
            self._own = True

    def settle(self, status: int | None) -> None:
        """Count what was said. Its response begins with this status, or there is none."""
        if self.settled:
            return
        self.settled = True
        verdict = self._verdict(status)
        if verdict is not None and not self._own:
            count_authentication(verdict, self.origin)
        if not self._own_intrusion:
            for kind, when in self._attacks.items():
                count_intrusion(kind, self.origin, when=when)

    def _verdict(self, status: int | None) -> Verdict | None:
        tried = self._accepted or self._refused
        if self._judged is not None:
            return _combined(self._judged, tried)
        refused = _REFUSALS.get(status or 0)
        if tried is not None:
            return Verdict(tried.scheme, refused) if tried.reason is None and refused else tried
        if self._offered is None or status is None:
            return None
        if refused:
            return Verdict(self._offered, refused)
        return Verdict(self._offered, None) if self._required and status < _ELSEWHERE else None


def _combined(judged: Verdict, tried: Verdict | None) -> Verdict:
    """A framework's word, with what a library knows better."""
    if tried is None or (judged.reason is None) != (tried.reason is None):
        if tried is not None and judged.scheme is None:
            return Verdict(tried.scheme, judged.reason, judged.when)
        return judged
    if judged.reason is None:
        return judged if judged.scheme is not None else tried
    return tried if judged.reason in _UNSPECIFIC else judged


_current: Final[ContextVar[Attempt | None]] = ContextVar("otel_kpi_security_attempt", default=None)


def begin(origin: Origin) -> tuple[Attempt, Token[Attempt | None]]:
    """Begin a request; `end()` takes both."""
    attempt = Attempt(origin)
    return attempt, _current.set(attempt)


def end(attempt: Attempt, token: Token[Attempt | None], status: int | None = None) -> None:
    """Settle a request, if nobody did, and leave it."""
    try:
        _current.reset(token)
    finally:
        attempt.settle(status)


def current() -> Attempt | None:
    """The request that is being answered here, the one whose response has begun too."""
    return _current.get()


def origin() -> Origin:
    """Where the request comes from that is being answered here."""
    attempt = _current.get()
    return NOWHERE if attempt is None else attempt.origin


def _open() -> Attempt | None:
    attempt = _current.get()
    return None if attempt is None or attempt.settled else attempt


def judged(scheme: str | None, reason: str | None, *, django: bool = False) -> None:
    """A framework says how an authentication ended; `reason` None is well. `django`: it is Django that says so."""
    attempt = _open()
    if attempt is not None:
        attempt.judge(scheme, reason)
        if django and not attempt.origin.django:
            attempt.origin = replace(attempt.origin, django=True)
        return
    where = origin()
    count_authentication(Verdict(scheme, reason), replace(where, django=True) if django else where)


def tried(scheme: str, reason: str | None) -> None:
    """A library says what it thinks of a token; `reason` None is well."""
    attempt = _open()
    if attempt is None:
        count_authentication(Verdict(scheme, reason), origin())
    else:
        attempt.try_(scheme, reason)


def offered(scheme: str, *, required: bool) -> None:
    """A framework found credentials and cannot judge them; `required`: without them there would be no answer."""
    attempt = _open()
    if attempt is not None:
        attempt.offer(scheme, required=required)


def attacked(kind: str) -> None:
    """A framework takes the request for an attack."""
    attempt = _open()
    if attempt is None:
        count_intrusion(kind, origin())
    else:
        attempt.attack(kind)
