"""What happens in a conversation: sessions, messages, recommendations, feedback."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self

from otel_kpi.packs.chat import handles

if TYPE_CHECKING:
    from types import TracebackType

_LONGEST_LANGUAGE: Final = 3
_LONGEST_TAG: Final = 35
"""Characters that BCP 47 has everybody be ready for; what is longer is not remembered."""


def message(role: str, language: str | None = None) -> None:
    """Count a message.

    Args:
        role: Who speaks: `"user"`, `"assistant"`, `"system"` or `"tool"`.
        language: As `"ar"`, `"en-GB"` or `"pt_BR"`; the region is left out. At most 10 distinct languages, further
            ones are `other`; None is `unknown`.

    Exported as the counter ``kpi_chat_messages_total``, and as ``<prefix>_messages_total{role,language}``.
    """
    # What comes is of any type, whatever the signature says; the handle judges what is no text.
    if type(language) is str and len(language) <= _LONGEST_TAG:
        language = _language(language)
    handles.messages.add(1, role, language)
    handles.chat_messages.add(1, role, language)


@lru_cache(maxsize=256)
def _language(tag: str) -> str:
    """The primary language of a tag of BCP 47 or of POSIX; what has another shape stays as it is."""
    primary = tag.strip().replace("_", "-").partition("-")[0].lower()
    return primary if primary.isalpha() and len(primary) <= _LONGEST_LANGUAGE else tag


def recommendation(products: int = 1) -> None:
    """Count recommended products.

    Args:
        products: How many, 0 or more.

    Exported as ``kpi_chat_product_recommendations_total``, and as ``<prefix>_product_recommendations_total``.
    """
    handles.product_recommendations.add(products)
    handles.chat_product_recommendations.add(products)


def feedback(rating: str | int) -> None:
    """Count what a user thought of an answer.

    Args:
        rating: A word or a number of yours, `"positive"` or 5; at most 10 distinct ones. Never the user's own words.

    Exported as ``kpi_chat_feedback_total``, and as ``<prefix>_user_feedback_total{rating}``.
    """
    handles.feedback.add(1, rating)
    handles.chat_user_feedback.add(1, rating)


def session_started() -> None:
    """Count a session that begins; `session_ended` must follow, in this process or in another of the service.

    Exported as the up-down counter ``kpi_chat_sessions_active``, and as ``<prefix>_active_sessions``. The sum over
    all processes is what is active: one may end what another began. A process that dies takes what it added with it.
    """
    handles.sessions_active.add(1)
    handles.chat_active_sessions.add(1)


def session_ended(duration: float | None = None) -> None:
    """Count a session that ends.

    Args:
        duration: Seconds since it began, for the histogram ``kpi_chat_session_duration_seconds``; None where nobody
            knows.
    """
    handles.sessions_active.add(-1)
    handles.chat_active_sessions.add(-1)
    if duration is not None:
        handles.session_duration.record(duration)


class Session:
    """A session that one block of code holds; ended once, however often it is told. Made by `session()`."""

    __slots__ = ("_started",)

    def __init__(self) -> None:
        self._started: list[float] = []

    def __enter__(self) -> Self:
        session_started()
        self._started.append(time.perf_counter())
        return self

    def end(self) -> None:
        """End it before its block does."""
        try:
            # One `pop` succeeds, whichever thread calls.
            started = self._started.pop()
        except IndexError:
            return
        session_ended(time.perf_counter() - started)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()


def session() -> Session:
    """A session for the time of a block: `with chat.session():`, or `async with`; for one that is a connection.

    However the block ends (an exception, `SystemExit`, a cancellation), the session has ended.
    """
    return Session()
