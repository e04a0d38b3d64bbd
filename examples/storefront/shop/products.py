"""The catalogue: what there is, what it costs, whether it is on a shelf, what may be said about it."""

import logging

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select

from storefront.shop.database import begin
from storefront.shop.models import Product

PAGE = 20

log = logging.getLogger("storefront.shop")
router = APIRouter(prefix="/products")


@router.get("")
async def catalogue(request: Request) -> list[dict[str, object]]:
    """One SELECT, one log record."""
    async with begin(request.app.state.engine) as session:
        rows = (await session.scalars(select(Product).order_by(Product.id).limit(PAGE))).all()
    log.info("catalogue shown with %d products", len(rows))
    return [{"id": product.id, "name": product.name} for product in rows]


@router.get("/{product_id}")
async def product(request: Request, product_id: int) -> dict[str, object]:
    """One SELECT, one log record; a price that is no number is an error that nobody handles."""
    found = await find(request, product_id)
    log.info("product %s found", found.sku)
    return {"id": found.id, "name": found.name, "price": str(found.price)}


@router.get("/{product_id}/stock")
async def stock(request: Request, product_id: int) -> JSONResponse:
    """One SELECT, one call of the back office, one log record; 502 when the back office fails."""
    found = await find(request, product_id)
    answer = await request.app.state.backoffice.get(f"/stock/{found.sku}/")
    if answer.is_error:
        log.warning("back office answered %d for %s", answer.status_code, found.sku)
        return JSONResponse({"detail": "the back office failed"}, status_code=502)
    log.info("stock of %s shown", found.sku)
    return JSONResponse(answer.json())


@router.get("/{product_id}/description")
async def description(request: Request, product_id: int) -> dict[str, object]:
    """One SELECT, one call of the assistant, one log record."""
    found = await find(request, product_id)
    question = {
        "model": "scripted-1",
        "messages": [{"role": "user", "content": f"Describe {found.name} in one sentence."}],
    }
    answer = await request.app.state.assistant.post("/v1/chat/completions", json=question)
    answer.raise_for_status()
    completion = answer.json()
    log.info("description of %s took %d tokens", found.sku, completion["usage"]["total_tokens"])
    return {"id": found.id, "description": completion["choices"][0]["message"]["content"]}


async def find(request: Request, product_id: int) -> Product:
    """Return the product, or answer 404 after one log record."""
    async with begin(request.app.state.engine) as session:
        found = await session.get(Product, product_id)
    if found is None:
        log.warning("product %d not found", product_id)
        raise HTTPException(404, "no such product")
    return found
