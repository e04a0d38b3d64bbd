"""The back office's HTTP interface, for the shop only."""

import json
import logging

from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from warehouse.assistant import packing_note
from warehouse.models import Shipment, Stock

log = logging.getLogger("storefront.backoffice")


@require_GET
def stock(request: HttpRequest, sku: str) -> JsonResponse:
    """One SELECT, one log record; an article on no shelf is an error that nobody handles."""
    found = get_object_or_404(Stock, sku=sku)
    aisle, shelf = found.aisle_and_shelf()
    log.info("%s lies in aisle %d", sku, aisle)
    return JsonResponse({"sku": sku, "quantity": found.quantity, "aisle": aisle, "shelf": shelf})


@csrf_exempt
@require_POST
def create_shipment(request: HttpRequest) -> JsonResponse:
    """SELECT; one call of the assistant; UPDATE and INSERT in one transaction; one log record.

    409 after the SELECT when there is not enough, with one log record as well.
    """
    wanted = json.loads(request.body)
    quantity = int(wanted["quantity"])
    found = get_object_or_404(Stock, sku=wanted["sku"])
    if found.quantity < quantity:
        return _refused(found)
    note = packing_note(found.sku, quantity)  # before the transaction: no lock waits for a model
    with transaction.atomic():
        if not Stock.objects.filter(pk=found.pk, quantity__gte=quantity).update(
            quantity=F("quantity") - quantity
        ):
            return _refused(found)
        shipment = Shipment.objects.create(
            stock=found, order_number=int(wanted["order"]), quantity=quantity, note=note
        )
    log.info("shipment %d leaves for order %d", shipment.pk, shipment.order_number)
    return JsonResponse({"shipment": shipment.pk, "note": note}, status=201)


@require_GET
def health(request: HttpRequest) -> JsonResponse:
    """For the launcher."""
    return JsonResponse({"status": "ok"})


def _refused(found: Stock) -> JsonResponse:
    log.warning("not enough of %s", found.sku)
    return JsonResponse({"detail": "not enough"}, status=409)
