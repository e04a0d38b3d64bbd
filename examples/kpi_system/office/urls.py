"""Where everything is; the last line brings `/metrics`, `/api/health` and their kin."""

from django.urls import include, path

from kpi_system.office import views

urlpatterns = [
    path("sign-in", views.sign_in),
    path("files", views.files),
    path("", include("otel_kpi.endpoints.django")),
]
