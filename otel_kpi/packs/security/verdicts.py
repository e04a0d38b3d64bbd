"""What is said of a request, and how it is counted: a series, and for what is bad an event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.packs.security import events, handles
from otel_kpi.packs.security.origin import Moment, now
from otel_kpi.packs.security.words import word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.packs.security.origin import Origin


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a layer says of an authentication.

    Attributes:
        scheme: How the client said who it is; None when the layer does not know.
        reason: Why it was not believed; None is a success.
        when: It was said.
    """

    scheme: Any
    reason: Any
    when: Moment = field(default_factory=now)


_SCHEME: Final = "the scheme of an authentication"


def count_success(scheme: object) -> None:
    """Count an authentication that was believed."""
    handles.auth_attempts.add(1, word(scheme, _SCHEME), "success", None)


def count_authentication(verdict: Verdict, origin: Origin, further: Mapping[str, Any] | None = None) -> None:
    """Count an authentication; a failure is an event, too."""
    if verdict.reason is None:
        count_success(verdict.scheme)
        return
    scheme = word(verdict.scheme, _SCHEME)
    reason = word(verdict.reason, "the reason of an authentication")
    handles.auth_attempts.add(1, scheme, "failure", reason)
    if origin.django:
        handles.django_auth_failures().add(1, reason)
    said = {"kpi.security.auth.scheme": scheme, "kpi.security.auth.reason": reason}
    events.write("security.authentication", said, origin, further, verdict.when)


def count_intrusion(
    kind: object, origin: Origin, further: Mapping[str, Any] | None = None, when: Moment | None = None
) -> None:
    """Count an intrusion attempt and write its event."""
    name = word(kind, "the kind of an intrusion")
    handles.intrusion_attempts.add(1, name)
    events.write("security.intrusion", {"kpi.security.intrusion.kind": name}, origin, further, when)
