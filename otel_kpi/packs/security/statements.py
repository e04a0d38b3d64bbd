"""What an application says itself: attacks, authentications, rate limits, input that was cleaned."""

from __future__ import annotations

from otel_kpi.packs.security import attempts, events, handles
from otel_kpi.packs.security.verdicts import Verdict, count_authentication, count_intrusion, count_success
from otel_kpi.packs.security.words import label, word


def intrusion(kind: str, *, address: object = None, **attributes: object) -> None:
    """Say that a request is an attack.

    Only what is said to be one is counted: many failed logins are not, until somebody decides that they are.

    Args:
        kind: What was attempted: one of `instruments.KINDS`, or up to eight words of your own.
        address: The client's; that of the request which Django or Starlette is answering, if it is left out. On the
            log event `security.intrusion` alone.
        **attributes: Further ones of the event: 16 at most.

    Exported as `kpi_security_intrusion_attempts_total`, which is 0 for each known kind from the start, so that
    `rate(…[1m]) > 0` sees the first. What the framework says of the same request is not counted besides.
    Never raises.
    """
    try:
        attempt = attempts.current()
        if attempt is not None:
            attempt.speak(intrusion=True)
        count_intrusion(kind, attempts.origin().at(address), attributes)
    except Exception:
        handles.dropped_events.add(1, "security.intrusion", "error")


def authentication(
    scheme: str,
    ok: bool,  # noqa: FBT001 - `authentication("jwt", False, "expired")` reads as the log line does
    reason: str | None = None,
    *,
    address: object = None,
    **attributes: object,
) -> None:
    """Say how an authentication ended.

    Args:
        scheme: How the client said who it is, for example `"api_key"`; at most 15 distinct values.
        ok: Whether it was believed.
        reason: Why it was not: one of `instruments.REASONS`; others are counted as `other`. Nothing for a success.
        address: The client's; that of the request which Django or Starlette is answering, if it is left out. On the
            log event `security.authentication` alone, which only a failure has.
        **attributes: Further ones of the event: 16 at most.

    Exported as `kpi_security_auth_attempts_total`, in requests of Django's as `django_auth_failures_total`, too.
    What frameworks and libraries say of the same request is not counted besides. Never raises.
    """
    try:
        attempt = attempts.current()
        if attempt is not None:
            attempt.speak()
        if ok:
            count_success(scheme)
            return
        verdict = Verdict(scheme, reason or "unknown")
        count_authentication(verdict, attempts.origin().at(address), attributes)
    except Exception:
        handles.dropped_events.add(1, "security.authentication", "error")


def rate_limited(
    policy: str,
    allowed: bool,  # noqa: FBT001 - what a limiter returns is passed on as it is
    *,
    address: object = None,
) -> None:
    """Say what a rate limit decided of a request.

    Args:
        policy: The limit's name, for example `"login"`; at most 20 distinct values.
        allowed: Whether the request may go on.
        address: The client's. On the log event `security.rate_limit` alone, which only a request has that may not.

    Exported as `kpi_security_rate_limit_requests_total`; both results of a policy begin at 0. Never raises.
    """
    try:
        name = label(policy, "the name of a rate limit")
        decided, other = ("allowed", "limited") if allowed else ("limited", "allowed")
        handles.rate_limit_requests.add(0, other, name)
        handles.rate_limit_requests.add(1, decided, name)
        if allowed:
            return
        attempt = attempts.current()
        if attempt is not None:
            attempt.limited = True
        said = {"kpi.security.rate_limit.policy": name}
        events.write("security.rate_limit", said, attempts.origin().at(address))
    except Exception:
        handles.dropped_events.add(1, "security.rate_limit", "error")


def sanitized(kind: str, n: int = 1) -> None:
    """Count values of input out of which something dangerous was taken.

    Args:
        kind: What was taken, for example `"html"`; at most 20 distinct values.
        n: How many values.

    Exported as `kpi_security_sanitizations_total`. Never raises.
    """
    handles.sanitizations.add(n, word(kind, "the kind of a sanitization"))
