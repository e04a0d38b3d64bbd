"""Tables of the shop, and the rows that it begins with."""

from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

CATALOGUE_SIZE = 40
SOLD_OUT = 41
CORRUPT_PRICE = 42
LOST_SHELF = 43
FIRST_ORDERS = 100


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "shop_product"

    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    # As the supplier sent it. One product's is not a number: see CORRUPT_PRICE.
    listed_price: Mapped[str] = mapped_column(String(20))

    @property
    def price(self) -> Decimal:
        """The price in euro."""
        return Decimal(self.listed_price)


class Order(Base):
    __tablename__ = "shop_order"

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("shop_product.id"))
    quantity: Mapped[int]
    status: Mapped[str] = mapped_column(String(20), default="new")
    # Without a time zone in the column: SQLite has none, and asyncpg refuses to guess.
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC).replace(tzinfo=None))


class SupplierPrice(Base):
    __tablename__ = "shop_supplier_price"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(String(36))
    sku: Mapped[str] = mapped_column(String(20))
    cents: Mapped[int]


def first_products() -> list[Product]:
    """Return the catalogue and three products that make trouble; the traffic script names them by id."""
    catalogue = [
        Product(id=i, sku=f"SKU-{i:03}", name=f"Lamp no. {i}", listed_price=f"{10 + i}.90")
        for i in range(1, CATALOGUE_SIZE + 1)
    ]
    return [
        *catalogue,
        Product(id=SOLD_OUT, sku="SKU-SOLD-OUT", name="Lamp that is sold out", listed_price="99.00"),
        Product(id=CORRUPT_PRICE, sku="SKU-CORRUPT", name="Lamp with a corrupt price", listed_price="12,9O"),
        Product(id=LOST_SHELF, sku="SKU-LOST", name="Lamp on no shelf", listed_price="15.00"),
    ]


def first_orders() -> list[Order]:
    """Return orders without ids: the database counts them, from 1."""
    return [Order(product_id=1 + i % CATALOGUE_SIZE, quantity=1) for i in range(FIRST_ORDERS)]
