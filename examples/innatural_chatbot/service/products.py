"""The catalogue, and which of it is asked for most."""

from decimal import Decimal
from typing import Any

from fastapi import APIRouter, HTTPException, Request

from innatural_chatbot import catalogue
from innatural_chatbot.service.database import Product, begin

router = APIRouter(prefix="/api/products")
KEY = "popular"


class Popularity:
    """Recommendations by product, in Redis; without one nobody knows."""

    def __init__(self, url: str) -> None:
        self._redis: Any = None
        if url:
            from redis import asyncio as redis

            self._redis = redis.from_url(url, decode_responses=True)

    async def add(self, products: list[catalogue.Product]) -> None:
        """Count recommendations: one ZINCRBY each."""
        for product in products:
            if self._redis is not None:
                await self._redis.zincrby(KEY, 1, product.name)

    async def most(self) -> list[str]:
        """The three that were recommended most: one ZREVRANGE."""
        return [] if self._redis is None else await self._redis.zrevrange(KEY, 0, 2)

    async def close(self) -> None:
        """Leave."""
        if self._redis is not None:
            await self._redis.aclose()


@router.get("/popular")
async def popular(request: Request) -> list[str]:
    """What is recommended most."""
    return await request.app.state.popularity.most()


@router.get("/{product_id}")
async def product(product_id: int, request: Request) -> dict[str, str]:
    """One product: one SELECT."""
    async with begin(request.app.state.engine) as database:
        found = await database.get(Product, product_id)
    if found is None:
        raise HTTPException(404, "no such product")
    return {"name": found.name, "price": f"{Decimal(found.price):.2f} MAD"}
