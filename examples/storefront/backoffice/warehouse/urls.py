from django.urls import path

from warehouse import views

urlpatterns = [
    path("health/", views.health),
    path("stock/<slug:sku>/", views.stock),
    path("shipments/", views.create_shipment),
]
