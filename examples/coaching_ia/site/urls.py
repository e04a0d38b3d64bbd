"""Where everything is; the last line brings `/metrics`, `/api/health` and their kin."""

from django.urls import include, path

from coaching_ia.site import tokens, views

urlpatterns = [
    path("api/v1/token", tokens.SignIn.as_view()),
    path("api/v1/sessions", views.begin),
    path("api/v1/sessions/<uuid:session>/questions", views.ask),
    path("api/v1/sessions/<uuid:session>/plan", views.plan),
    path("api/v1/sessions/<uuid:session>/end", views.end),
    path("", include("otel_kpi.endpoints.django")),
]
