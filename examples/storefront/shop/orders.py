"""Orders, and the checkout that takes the goods off the back office's shelf."""

import logging

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse
from httpx import codes
from pydantic import BaseModel, Field
from sqlalchemy import update

from storefront.shop.database import begin
from storefront.shop.models import Order, Product

log = logging.getLogger("storefront.shop")
router = APIRouter()


class Basket(BaseModel):
    """What somebody wants to buy."""

    product_id: int
    quantity: int = Field(gt=0, le=100)


@router.post("/orders", status_code=201)
async def create_order(request: Request, basket: Basket) -> dict[str, object]:
    """SELECT and INSERT in one transaction, one log record; an impossible basket is a 422 without either."""
    order, _ = await place(request, basket)
    log.info("order %d placed", order.id)
    return {"id": order.id, "status": order.status}


@router.get("/orders/{order_id}")
async def order(request: Request, order_id: int) -> dict[str, object]:
    """One SELECT, one log record."""
    async with begin(request.app.state.engine) as session:
        found = await session.get(Order, order_id)
    if found is None:
        log.warning("order %d not found", order_id)
        raise HTTPException(404, "no such order")
    log.info("order %d shown", found.id)
    return {"id": found.id, "status": found.status}


@router.post("/checkout", status_code=201)
async def checkout(request: Request, basket: Basket) -> JSONResponse:
    """SELECT, INSERT; one call of the back office, outside any transaction; UPDATE; one log record."""
    order, product = await place(request, basket)
    answer = await request.app.state.backoffice.post(
        "/shipments/", json={"sku": product.sku, "quantity": order.quantity, "order": order.id}
    )
    if answer.status_code == codes.CONFLICT:
        status = "refused"
    else:
        answer.raise_for_status()
        status = "shipped"
    async with begin(request.app.state.engine) as session:
        await session.execute(update(Order).where(Order.id == order.id).values(status=status))
    if status == "refused":
        log.warning("order %d refused: %s is sold out", order.id, product.sku)
        return JSONResponse({"id": order.id, "status": status}, status_code=codes.CONFLICT)
    log.info("order %d shipped", order.id)
    return JSONResponse({"id": order.id, "status": status, **answer.json()}, status_code=codes.CREATED)


async def place(request: Request, basket: Basket) -> tuple[Order, Product]:
    """Write a new order for a product that exists."""
    async with begin(request.app.state.engine) as session:
        product = await session.get(Product, basket.product_id)
        if product is None:
            raise HTTPException(404, "no such product")
        order = Order(product_id=product.id, quantity=basket.quantity)
        session.add(order)
    return order, product
