"""Private parts of libraries that limit rates."""

from __future__ import annotations


def slowapi_check() -> tuple[type, str]:
    """The class and the method that evaluate the limits of a request.

    Its decorators and both its middlewares ask it. Nothing public says that a request was let pass, and what is
    raised when it was not is raised by it.
    """
    from slowapi.extension import Limiter

    return Limiter, Limiter._check_request_limit.__name__
