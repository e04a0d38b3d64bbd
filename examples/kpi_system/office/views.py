"""Signing in, and what only those see who did. What fails is seen by the instrumentation of Django."""

from typing import Any

from django.contrib.auth import authenticate, login
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_http_methods, require_safe


@require_http_methods(["GET", "POST"])
@ensure_csrf_cookie
def sign_in(request: Any) -> HttpResponse:
    """Hand out the token of a form, or look at what was filled in."""
    if request.method == "POST":
        person = authenticate(request, username=request.POST["name"], password=request.POST["password"])
        if person is None:
            return JsonResponse({"signed in": False}, status=401)
        login(request, person)
    return JsonResponse({"signed in": request.user.is_authenticated})


@require_safe
def files(request: Any) -> HttpResponse:
    """List the files, for those who have signed in."""
    if not request.user.is_authenticated:
        raise PermissionDenied
    return JsonResponse({"files": ["plan", "budget"]})
